"""Becomes another program that ends with its parent and, if asked, holds a lock for as long as it lives.

    python -I -S python/guard [--lock FILE] [--wait SECONDS] [--parent PID] -- PROGRAM [ARGUMENT ...]

The lock is a POSIX one: it survives exec, is not inherited by children and is freed by the kernel however its holder ends. It is
also freed when its holder closes any descriptor of the same file, so PROGRAM must never open FILE.
The parent's death is a SIGTERM to PROGRAM.

Exit status: 75 when the lock is held by another process (named on stderr), 126 or 127 when PROGRAM can't be started, else
PROGRAM's own.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import struct
import sys
import time
from pathlib import Path

LOCK_HELD = 75
NOT_EXECUTABLE = 126
NOT_FOUND = 127
PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05

# struct flock: type, whence, start, length, pid
FLOCK = "hhqqi"


def main() -> int:
    options = parse(sys.argv[1:])
    end_with_parent(options.parent)
    if options.lock and not take(options.lock, options.wait):
        print(f"{options.lock} is held by {holder(options.lock)}", file=sys.stderr)
        return LOCK_HELD
    try:
        os.execvp(options.program[0], options.program)
    except OSError as error:
        print(f"can't start {options.program[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guard", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lock", metavar="FILE", help="hold an exclusive lock on this file, which is made if it isn't there")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, default=0.0, help="how long to wait for it (default: not at all)"
    )
    parser.add_argument("--parent", metavar="PID", type=int, help="the parent's pid, in case it has died before we look")
    parser.add_argument("program", nargs="+", help="what to become")
    return parser.parse_args(arguments)


def end_with_parent(expected: int | None) -> None:
    """Asks the kernel for a SIGTERM when the parent dies, and looks whether it has died before that was asked."""
    parent = expected or os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
    if os.getppid() != parent:
        sys.exit(f"the parent, pid {parent}, is gone")


def take(file: str, wait: float) -> bool:
    """Whether the lock is ours, after trying for `wait` seconds. The descriptor stays open, in PROGRAM too."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)


def holder(file: str) -> str:
    with open(file, "rb+") as lock:
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    kind, _, _, _, pid = struct.unpack(FLOCK, answer)
    if kind == fcntl.F_UNLCK:
        return "a process that has just ended; try again"
    if pid <= 0:
        return "a process that can't be seen from here (another container?)"
    return f"pid {pid} ({command_line(pid)})"


def command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError as error:
        return f"its command line can't be read: {error.strerror}"
    return b" ".join(words).decode(errors="replace").strip()[:200]


if __name__ == "__main__":
    sys.exit(main())
