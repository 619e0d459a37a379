"""The side of a request in its own process: what a fresh interpreter would have differently, and how it reports.

A fork ends with the agent (the kernel's signal at the parent's death), and the workers that Ansible forks from it end with
the fork; each then ends what it has started. Nobody else need be alive for that.
"""

import atexit
import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from multiprocessing import util

from longhaul_agent import tree

PR_SET_PDEATHSIG = 1
#: Ansible handles TERM and INT itself, also in its workers.
PARENT_DIED = signal.SIGHUP
END_SECONDS = 5.0

libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(number, parent):
    """Have the kernel send this signal when the parent dies; end now if it has died already."""
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


class Report:
    """The fork's pipe to the agent. One letter tells what a line is, and the rest is JSON."""

    ANSWER, END, REMEMBER = b"=", b"!", b"@"

    def __init__(self, descriptor, id):
        self.descriptor = descriptor
        self.id = id

    def task(self, index, status, result):
        self._write(self.ANSWER, {"id": self.id, "task": index, "status": status, "result": result})

    def answer(self, record):
        self._write(self.ANSWER, {"id": self.id, **record})

    def end(self, error=None):
        self._write(self.END, error)

    def remember(self, kind, record):
        self._write(self.REMEMBER, [kind, record])

    def close(self):
        os.close(self.descriptor)

    def _write(self, kind, record):
        rest = memoryview(b"%b%b\n" % (kind, _json(record)))
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]


def _json(record):
    try:
        return json.dumps(record, allow_nan=False, default=str).encode()
    except ValueError:  # what a module printed as NaN or Infinity is no JSON to others
        return json.dumps(_finite(record), default=str).encode()


def _finite(value):
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value


def become(agent, folder, report, until, work):
    """In the fork: reset what was inherited, do the work, report, and end. Never returns."""
    status = 1
    try:
        gc.disable()  # it lives too short for it, and a collection would copy the agent's memory
        _reset_signals(folder)
        end_with_parent(PARENT_DIED, agent)
        record = tree.put_on_record(folder, until)
        os.setsid()
        atexit._clear()  # the agent's: they would remove its folders
        fork = os.getpid()
        util.register_after_fork(report, lambda report: _begin_worker(report, fork, folder, until))
        report.end(work(report))
        atexit._run_exitfuncs()  # Ansible's own clean-up of this request
        tree.take_off_record(record)
        status = 0
    except BaseException as error:
        traceback.print_exc()
        report.end({"kind": "internal", "msg": f"{type(error).__name__}: {error}"})
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reset_signals(folder):
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(PARENT_DIED, lambda *_: _end_all(folder))


def _end_all(folder):
    tree.end(folder, END_SECONDS)
    os._exit(1)


def _begin_worker(report, fork, folder, until):
    """In a worker, as soon as Ansible has forked it."""
    report.close()
    end_with_parent(PARENT_DIED, fork)
    record = tree.put_on_record(folder, until)
    util.Finalize(None, tree.take_off_record, args=[record], exitpriority=0)
