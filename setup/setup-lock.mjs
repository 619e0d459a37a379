import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { say, SetupError } from './command.mjs';

/**
 * Runs `work` while no other set-up of this folder does. The lock is an abstract Unix socket: the kernel frees it when its last holder
 * is gone, so a killed set-up leaves nothing stale. Commands that inherit `keepOpen` hold it too: what a killed set-up had started
 * (npm, pip) is waited for before the next one touches the same files.
 * Not seen across network namespaces: two containers that share one checkout must not set up at once.
 */
export async function withSetupLock(root, work) {
  // All of the address is used, because versions of Node differ in whether they pad it.
  const name = `longhaul-setup-${createHash('sha256').update(root).digest('hex')}`.padEnd(107, '-');
  const { server, waiting } = await acquire(`\0${name}`);
  try {
    return await work(server._handle.fd);
  } finally {
    server.close();
    for (const socket of waiting) socket.destroy();
  }
}

async function acquire(path) {
  for (let told = false; ; told = true) {
    const waiting = new Set();
    const server = createServer((socket) => waiting.add(socket.on('error', () => waiting.delete(socket))));
    const error = await listen(server, path);
    if (error === undefined) return { server, waiting };
    if (error.code !== 'EADDRINUSE') throw new SetupError(`Set-up can't take its lock: ${error.message}`);
    if (!told) say('Waiting for another set-up of this folder to end');
    await holderIsGone(path);
  }
}

/** Resolves to the error that kept it from listening, or to undefined. */
function listen(server, path) {
  return new Promise((resolve) => server.once('error', resolve).listen({ path }, resolve));
}

/** A connection to the holder's socket ends with the holder, or is refused if that has happened already. */
async function holderIsGone(path) {
  const socket = connect({ path });
  await new Promise((resolve) => socket.on('error', resolve).on('close', resolve));
}
