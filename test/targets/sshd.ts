import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { freePorts } from '../ports.js';
import { carrying, signal, treeOf, until } from '../service/processes.js';

const sshd = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((file) => existsSync(file));

/** `describe` for tests that need sshd; in CI it has to be there. */
export function needsSshd(title: string, body: () => void): void {
  if (sshd === undefined && process.env.CI === undefined) describe.skip(`${title} (skipped: needs sshd)`, body);
  else describe(title, body);
}

/** Whether there can be another machine in the place of a host. */
export function canSwapMachines(): boolean {
  if (!existsSync('/etc/machine-id')) return false;
  return (
    spawnSync('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'mount', '--bind', '/etc', '/etc']).status === 0
  );
}

export interface TargetsOptions {
  /** How many hosts are reached by ssh; they are called ssh-1, ssh-2, ... */
  hosts?: number;
  /** How many sshd processes they are spread over. */
  servers?: number;
  /** The hosts' own Python. */
  python?: string;
  /** Whether what runs on the hosts gives way to others on this machine. */
  givesWay?: boolean;
}

/**
 * Hosts for Ansible: some behind real sshd processes on loopback, and `here`, with `connection: local`.
 *
 * Whatever is started on them carries `mark` in its environment, and is ended with them.
 */
export class Targets {
  readonly inventory: string;

  private constructor(
    readonly folder: string,
    readonly servers: Sshd[],
    readonly hosts: string[],
    private readonly id: string,
  ) {
    this.inventory = path.join(folder, 'inventory.json');
  }

  static async open({
    hosts = 1,
    servers = 1,
    python = targetPython(),
    givesWay = false,
  }: TargetsOptions = {}): Promise<Targets> {
    if (sshd === undefined) throw new Error('needs sshd, which is not here (Debian: apt-get install openssh-server)');
    const folder = await mkdtemp(path.join(os.tmpdir(), 'lh-'));
    const id = randomBytes(8).toString('hex');
    for (const key of ['host_key', 'client_key'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(folder, key)]);
    const names = Array.from({ length: hosts }, (_, index) => `ssh-${index + 1}`);
    const all = Array.from({ length: servers }, (_, index) => new Sshd(folder, index + 1, hosts, mark(id), givesWay));
    const targets = new Targets(folder, all, [...names, 'here'], id);
    try {
      for (const name of targets.hosts) await mkdir(targets.dataOf(name), { recursive: true });
      await mkdir(path.join(folder, 'tmp'));
      await Promise.all(all.map((server) => server.start()));
      await writeFile(targets.inventory, JSON.stringify(targets.inventoryOf(names, python)));
    } catch (error) {
      await targets[Symbol.asyncDispose]();
      throw error;
    }
    return targets;
  }

  /** An environment entry of everything that is started on the hosts. */
  get mark(): string {
    return mark(this.id);
  }

  /** What Ansible is to be called with, besides the inventory. */
  get env(): Record<string, string> {
    const tmp = path.join(this.folder, 'tmp');
    return {
      ANSIBLE_NOCOLOR: '1',
      ANSIBLE_LOCAL_TEMP: tmp,
      [nameOfMark]: this.id,
      PATH: `${path.dirname(loadConfig({}).python)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: tmp,
      LANG: 'C.UTF-8',
    };
  }

  /** A folder of a host's own; the home directories are one, because the user is. */
  dataOf(host: string): string {
    return path.join(this.folder, 'data', host);
  }

  serverOf(host: string): Sshd {
    const server = this.servers[this.hosts.indexOf(host) % this.servers.length];
    if (server === undefined) throw new Error(`${host} is behind no sshd`);
    return server;
  }

  /** Ends everything that was started on the hosts or by Ansible on its way to them, and verifies it. */
  async endAll(): Promise<void> {
    await until('the end of all that ran on the targets', () => {
      const left = carrying(this.mark);
      for (const { pid } of left) signal(pid, 'SIGKILL');
      return left.length === 0;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
    await this.endAll();
    // A last look of a service at these hosts may make its folder for connections anew meanwhile.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  private inventoryOf(names: string[], python: string): unknown {
    const ssh = names.map((name, index) => [
      name,
      { ansible_host: addressOf(index), ansible_port: this.serverOf(name).port, data: this.dataOf(name) },
    ]);
    const common = {
      ansible_python_interpreter: python,
      ansible_remote_tmp: path.join(this.folder, 'tmp', 'remote'),
    };
    const reached = {
      ansible_connection: 'ssh',
      ansible_user: os.userInfo().username,
      ansible_ssh_private_key_file: path.join(this.folder, 'client_key'),
      ansible_ssh_common_args:
        '-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR',
      ansible_control_path_dir: path.join(this.folder, 'cp'),
    };
    const here = { ansible_connection: 'local', data: this.dataOf('here') };
    return {
      all: {
        vars: common,
        hosts: { here },
        children: { remote: { vars: reached, hosts: Object.fromEntries(ssh) as unknown } },
      },
    };
  }
}

/** One sshd on a port of its own, at one loopback address for each host. */
export class Sshd {
  port = 0;
  private process: ChildProcess | undefined;
  private readonly config: string;
  private readonly log: string;

  constructor(
    private readonly folder: string,
    number: number,
    private readonly addresses: number,
    private readonly mark: string,
    private readonly givesWay: boolean,
  ) {
    this.config = path.join(folder, `sshd_config.${number}`);
    this.log = path.join(folder, `sshd.${number}.log`);
  }

  /**
   * Also after a stop, on the port that it had.
   * @param without a folder that it doesn't have, as on another machine that has got its address; needs root
   */
  async start({ without }: { without?: string } = {}): Promise<void> {
    if (this.port === 0) [this.port = 0] = await freePorts(1);
    await writeFile(this.config, this.settings().join('\n') + '\n');
    // Debian makes this folder at boot, which a container doesn't have.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const command = [sshd ?? 'sshd', '-D', '-f', this.config, '-E', this.log];
    const [program = '', ...args] = without === undefined ? command : [...(await this.elsewhere(without)), ...command];
    const child = spawn(program, args, { detached: true, stdio: 'ignore' });
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${readLog(this.log)}`)));
    });
    failed.catch(() => undefined);
    this.process = child;
    await Promise.race([failed, until('an answer of sshd', () => answers(this.port))]);
  }

  /** Ends it with all its connections: its hosts are unreachable. What was detached on them lives on. */
  async stop(): Promise<void> {
    const pid = this.process?.pid;
    if (pid === undefined) return;
    const all = treeOf(pid);
    for (const each of all) signal(each.pid, 'SIGCONT');
    signal(pid, 'SIGTERM');
    const own = all.filter(({ command }) => command.includes('sshd'));
    await until('the end of sshd', () => {
      for (const each of own) signal(each.pid, 'SIGKILL');
      return !own.some((each) => treeOf(each.pid).length > 0);
    });
    this.process = undefined;
  }

  /** Its connections stay open and say nothing until `thaw`. */
  freeze(): void {
    for (const { pid } of this.ownProcesses()) signal(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const { pid } of this.ownProcesses()) signal(pid, 'SIGCONT');
  }

  /** The words before a command that runs it where another machine is, as far as files and processes tell. */
  private async elsewhere(without: string): Promise<string[]> {
    const [id, empty] = [path.join(this.folder, 'machine-id'), path.join(this.folder, 'empty')];
    await writeFile(id, `${randomBytes(16).toString('hex')}\n`);
    await mkdir(empty, { recursive: true });
    const script = 'mount --bind "$1" /etc/machine-id && mount --bind "$2" "$3" && shift 3 && exec "$@"';
    return ['unshare', '--mount', '--pid', '--fork', '--mount-proc', 'sh', '-c', script, 'sh', id, empty, without];
  }

  private ownProcesses() {
    return treeOf(this.process?.pid ?? 0).filter(({ command }) => command.includes('sshd'));
  }

  private settings(): string[] {
    const settings = [
      `Port ${this.port}`,
      ...Array.from({ length: this.addresses }, (_, index) => `ListenAddress ${addressOf(index)}`),
      `HostKey ${path.join(this.folder, 'host_key')}`,
      `AuthorizedKeysFile ${path.join(this.folder, 'client_key.pub')}`,
      `PidFile ${this.config}.pid`,
      // SHLVL keeps bash from reading the user's .bashrc, which takes long here and there, and waits for locks of processes that were killed.
      `SetEnv ${this.mark} SHLVL=1`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'StrictModes no',
      'UsePAM no',
      'UseDNS no',
      'MaxStartups 1000',
      'MaxSessions 1000',
      'LogLevel ERROR',
      'Subsystem sftp internal-sftp',
    ];
    // Where Linux shares the CPU out by sessions, nice alone changes nothing (sched(7), autogroup).
    if (this.givesWay)
      settings.push(
        'ForceCommand echo 15 2>/dev/null > /proc/self/autogroup; exec nice -n 15 sh -c "$SSH_ORIGINAL_COMMAND"',
      );
    return understands('PerSourcePenalties=no', this.folder) ? [...settings, 'PerSourcePenalties no'] : settings;
  }
}

const nameOfMark = 'LONGHAUL_TARGETS';

function mark(id: string): string {
  return `${nameOfMark}=${id}`;
}

/** TARGET_PYTHON, to try another version; else the Python that ours was made from: it has no packages. */
export function targetPython(): string {
  if (process.env.TARGET_PYTHON !== undefined) return process.env.TARGET_PYTHON;
  const environment = path.dirname(path.dirname(loadConfig({}).python));
  const home = /^home = (.*)$/m.exec(readFileSync(path.join(environment, 'pyvenv.cfg'), 'utf8'))?.[1];
  if (home === undefined) throw new Error(`no Python is named in ${environment}/pyvenv.cfg`);
  return path.join(home, 'python3');
}

/** Each host has its own, so that each has a connection of its own. */
function addressOf(index: number): string {
  return `127.0.${Math.floor(index / 250)}.${(index % 250) + 1}`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    const say = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (greeting) => say(greeting.toString().startsWith('SSH-')));
    socket.once('error', () => say(false));
    socket.once('close', () => say(false));
  });
}

/** Whether this version of sshd knows a setting. */
function understands(setting: string, folder: string): boolean {
  try {
    const hostKey = path.join(folder, 'host_key');
    execFileSync(sshd ?? 'sshd', ['-t', '-f', '/dev/null', '-h', hostKey, '-o', setting], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function readLog(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'it wrote no log';
}
