"""The agent's side of a request: its fork, what that reports, and how it is ended."""

import os
import shutil
import signal
import time

from longhaul_agent import connections, tree

READ_BYTES = 256 * 1024
#: How long a request's processes may take to vanish after KILL, before it is answered all the same.
VANISH_SECONDS = 10.0


class Child:
    """A fork. It is waited for (reaped) last, so that neither its pid nor its session's id are anybody else's before."""

    def __init__(self, request, pid, pipe, folder):
        self.request = request
        self.pid = pid
        self.pipe = pipe
        self.folder = folder
        self.deadline = time.monotonic() + request.timeout
        self.is_gone = False
        self._error = None
        self._give_up = None
        self._part = bytearray()
        os.set_blocking(pipe, False)

    @property
    def is_ending(self):
        return self._give_up is not None

    def read(self):
        """The whole lines that it has reported meanwhile; None after the last one."""
        try:
            piece = os.read(self.pipe, READ_BYTES)
        except BlockingIOError:
            return []
        if not piece:
            return None
        first, *others = piece.split(b"\n")
        self._part += first
        if not others:
            return []
        lines = [bytes(self._part), *others]
        self._part = bytearray(lines.pop())
        return lines

    def close_pipe(self):
        os.close(self.pipe)
        self.pipe = None

    def end(self, error=None):
        """Have it ended. `error` is what is to be answered when it is gone; without one, how it died."""
        if not self.is_ending:
            self._error = error
            self._give_up = time.monotonic() + VANISH_SECONDS

    def kill(self, snapshot):
        """Kill what there is of it. Whether that is over."""
        if not self.has_exited():
            os.kill(self.pid, signal.SIGKILL)
        left = [process for process in tree.members(self.folder, snapshot) if process.pid != self.pid]
        if self._error is not None and self._error["kind"] == "timeout":
            connections.leave(left)
        tree.kill(left)
        self.is_gone = not left and self.has_exited()
        if self.is_gone:
            return True
        if time.monotonic() < self._give_up:
            return False
        pids = ", ".join(str(process.pid) for process in left) or str(self.pid)
        error = self._error or {"kind": "died", "msg": "it died"}
        self._error = {**error, "msg": f"{error['msg']}; what can't be killed lives on: {pids}"}
        return True

    def has_exited(self):
        return self._status() is not None

    def error(self):
        """What to answer when it has been ended."""
        if self._error is not None:
            return self._error
        status = self._status()
        how = f"ended with {status.si_status}" if status.si_code == os.CLD_EXITED else f"was killed by signal {status.si_status}"
        return {"kind": "died", "msg": f"the process of this request {how}"}

    def bury(self):
        """Reap it and remove its folder; what can't be killed is left to init, and to the next agent."""
        if self.has_exited():
            os.waitpid(self.pid, 0)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _status(self):
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
