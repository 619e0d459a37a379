"""crash_point.py LOG BELOW ROLE:NUMBER[:ROLE...] COMMAND...: kill -9 before a process's NUMBERth durable step.

Traces a driver and all that it starts. Processes have roles: D the driver, S the supervisor, A Ansible, E the program
that ends an attempt, or does another thing with one. Of a task on a target, P is what Ansible calls, A forks the command
C, and T copies what that prints. Steps are the system calls that evidence rests on: those on files below BELOW (folders,
with a colon between them), writes of S and C to their pipes, and execve. Each is logged as "ROLE NUMBER CALL TARGET". More
ROLEs die at the same moment; `-` kills none. Ends when all that it traced has ended; what it traces dies with it.
"""

import ctypes
import os
import platform
import signal
import struct
import sys

CALLS = {
    "x86_64": {
        1: "write", 59: "execve", 74: "fsync", 75: "fdatasync", 82: "rename", 83: "mkdir", 84: "rmdir", 86: "link",
        87: "unlink", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 265: "linkat", 316: "renameat2",
    },
    "aarch64": {
        34: "mkdirat", 35: "unlinkat", 37: "linkat", 38: "renameat", 64: "write", 82: "fsync", 83: "fdatasync",
        221: "execve", 276: "renameat2",
    },
}[platform.machine()]  # fmt: skip
#: Which argument tells what a call is about; the others take a file descriptor first.
PATH_ARGUMENT = {
    "execve": 0, "mkdir": 0, "rmdir": 0, "unlink": 0, "link": 1, "rename": 1, "mkdirat": 1, "unlinkat": 1,
    "linkat": 3, "renameat": 3, "renameat2": 3,
}  # fmt: skip
TRACEME, CONT, SETOPTIONS, GETEVENTMSG, GET_SYSCALL_INFO = 0, 7, 0x4200, 0x4201, 0x420E
FORK, VFORK, CLONE, EXEC, SECCOMP = 1, 2, 3, 4, 7
#: All events above, and death of the traced with the tracer.
OPTIONS = sum(1 << event for event in (FORK, VFORK, CLONE, EXEC, SECCOMP)) | 1 << 20
NO_NEW_PRIVS, SET_SECCOMP, ALLOW, TRACE = 38, 22, 0x7FFF0000, 0x7FF00000
WALL = 0x40000000
#: What a process becomes whose parent has this role.
CHILD = {"P": "M", "M": "S", "S": "A"}
#: The same for a task's wrapper: the supervisor's second child is the copier.
TASKS_CHILD = {**CHILD, "A": "C"}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def main(log, below, at, command):
    pid = os.fork()
    if pid == 0:
        libc.ptrace(TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        stop_at_steps()
        os.execvp(command[0], command)
    os.waitpid(pid, 0)
    libc.ptrace(SETOPTIONS, pid, None, OPTIONS)
    with open(log, "w", buffering=1, encoding="utf-8") as file:
        tracer = Tracer(file, below, [] if at == "-" else at.split(":"))
        tracer.role[pid] = "D"
        tracer.started.add(pid)
        libc.ptrace(CONT, pid, None, None)
        tracer.follow()


def stop_at_steps():
    """From here on this process, and all that it starts, stops before each of CALLS."""
    numbers = sorted(CALLS)
    code = [(0x20, 0, 0, 0)]
    code += [(0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    code += [(0x06, 0, 0, ALLOW), (0x06, 0, 0, TRACE)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(SET_SECCOMP, 2, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp can't be used here")


class Tracer:
    def __init__(self, log, below, at):
        self.log = log
        self.below = tuple(below.split(":"))
        self.victims = {at[0], *at[2:]} if at else set()
        self.point = (at[0], int(at[1])) if at else None
        self.role = {}
        self.count = {}
        self.born = set()
        self.started = set()
        self.is_task = False

    def follow(self):
        while True:
            try:
                pid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                self.stopped(pid, os.WSTOPSIG(status), status >> 16)

    def stopped(self, pid, number, event):
        if event in (FORK, VFORK, CLONE):
            self.gave_birth(pid)
        elif event == EXEC:
            self.became(pid)
        elif event == SECCOMP:
            self.steps(pid)
        elif event == 0 and number == signal.SIGSTOP and pid not in self.started:
            # A new one waits until its parent has said whose child it is.
            self.born.add(pid)
            if pid in self.role:
                self.begin(pid)
            return
        libc.ptrace(CONT, pid, None, number if event == 0 else None)

    def gave_birth(self, pid):
        message = ctypes.c_ulong()
        libc.ptrace(GETEVENTMSG, pid, None, ctypes.addressof(message))
        child = message.value
        is_thread = status_of(child).get("Tgid") != str(child)
        self.role[child] = self.role[pid] if is_thread else self.role_of_child(self.role[pid])
        if child in self.born:
            self.begin(child)

    def role_of_child(self, parent):
        if not self.is_task:
            return CHILD.get(parent, "")
        if parent == "S" and "A" in self.role.values():
            return "T"
        return TASKS_CHILD.get(parent, "")

    def begin(self, pid):
        self.started.add(pid)
        libc.ptrace(CONT, pid, None, None)

    def became(self, pid):
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            words = file.read().split(b"\0")
        if any(word.endswith(b"/longhaul_attempt") for word in words):
            self.role[pid] = "P" if b"supervise" in words else "E" if b"end" in words else ""

        elif any(word.endswith(b"/async_wrapper.py") for word in words):
            self.role[pid] = "P"
            self.is_task = True
        elif words[-2].startswith(b"longhaul_"):
            self.role[pid] = "E"

    def steps(self, pid):
        role = self.role[pid]
        call, target = described(pid)
        if role not in ("D", "S", "A", "C", "E") or not self.matters(role, call, target):
            return
        self.count[role] = self.count.get(role, 0) + 1
        self.log.write("%s %d %s %s\n" % (role, self.count[role], call, target))
        if (role, self.count[role]) == self.point:
            for victim in [victim for victim, its in self.role.items() if its in self.victims]:
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.log.write("killed\n")

    def matters(self, role, call, target):
        if call == "execve":
            return role in ("A", "C")
        if call == "write":
            is_pipe = target.startswith(("pipe:", "socket:"))
            return (role in ("S", "C") and is_pipe) or (role != "D" and os.path.basename(target).startswith("."))
        return target.startswith(self.below)


def described(pid):
    """(name, path that it is about) of the call that a process is about to make."""
    info = ctypes.create_string_buffer(88)
    libc.ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    number, *arguments = struct.unpack_from("7Q", info, 24)
    call = CALLS.get(number, "?")
    try:
        if call in PATH_ARGUMENT:
            with open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
                return call, os.pread(memory.fileno(), 4096, arguments[PATH_ARGUMENT[call]]).split(b"\0")[0].decode()
        return call, os.readlink("/proc/%d/fd/%d" % (pid, arguments[0]))
    except OSError:
        return call, ""


def status_of(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
