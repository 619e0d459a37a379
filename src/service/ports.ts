import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { isErrno } from '../disk/errno.js';
import { StartError } from './start-error.js';

/** A port that we are going to listen on, and the variable that sets it. */
export interface WantedPort {
  host: string;
  port: number;
  variable: string;
}

/**
 * Finds out whether the ports can be listened on.
 * @throws StartError naming the port's owner, as far as it can be seen, and the variable to change
 */
export async function requireFreePorts(wanted: readonly WantedPort[]): Promise<void> {
  for (const { host, port, variable } of wanted) {
    const error = await tryListening(host, port);
    if (error === undefined) continue;
    if (!isErrno(error, 'EADDRINUSE')) {
      throw new StartError(`${variable}=${port} can't be listened on (${host}): ${error.message}. Set another one.`);
    }
    throw new StartError(`Port ${port} is taken by ${ownerOf(port)}. End that, or set ${variable} to a free port.`);
  }
}

/** Whether something accepts connections there. */
export function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Whether the API answers its liveness check. */
export function apiIsLive({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host, port, path: '/healthz', timeout: 5000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy()).once('error', () => resolve(false));
  });
}

function tryListening(host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
}

function ownerOf(port: number): string {
  const sockets = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningSockets(table, port));
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && hasOpen(name, sockets));
  if (pid === undefined) return "a process that can't be seen from here (another user's, or another container's)";
  return `pid ${pid} (${commandLine(pid)})`;
}

function listeningSockets(table: string, port: number): string[] {
  const listening = '0A';
  const rows = readIfThere(table).trim().split('\n').slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local, , state]) => state === listening && local?.endsWith(`:${hex(port)}`))
    .map((fields) => `socket:[${fields[9]}]`);
}

function hasOpen(pid: string, sockets: readonly string[]): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => sockets.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch (error) {
    if (isHidden(error)) return false;
    throw error;
  }
}

function commandLine(pid: string): string {
  return readIfThere(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 120);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isHidden(error)) return '';
    throw error;
  }
}

/** The process ended while we looked, or is another user's. */
function isHidden(error: unknown): boolean {
  return isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM');
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}
