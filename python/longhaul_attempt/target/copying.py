"""What a command prints, copied to files by a process of its own.

So a full disk stops the copy and not the command, what was not kept is counted, and the command can go on whoever of
those that watch it is killed. Output that comes after the command's end (of a daemon that it started) is read and dropped.
"""

import json
import os
import select
import socket
import time

from ..output import Losses
from . import inheritance

PIECE = 64 * 1024
#: The largest that a pipe can be: what the command has printed before its end is no more.
PIPE_BYTES = 1024 * 1024
PATIENCE_SECONDS = 10


class Copier:
    """The pipes of a command and their copier, as the supervisor and A hold them."""

    def __init__(self, folder):
        self._folder = folder
        self._sources = {}
        self.ends = {}
        for name in ("stdout", "stderr"):
            self._sources[name], self.ends[name] = os.pipe()
        self._asking, self._answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = 0

    def start(self):
        """Also again, if it was killed: then nobody knows whether all was kept that it had read."""
        is_whole = self.pid == 0
        self.pid = os.fork()
        if self.pid == 0:
            try:
                inheritance.close_all_but({*self._sources.values(), self._answering.fileno()})
                for descriptor in self._sources.values():
                    os.set_blocking(descriptor, False)
                _copy(self._folder, self._sources, self._answering, is_whole)
            finally:
                os._exit(0)

    def close_ends(self):
        """Only the command itself is to hold them: the copier ends when nobody can print any more."""
        for descriptor in self.ends.values():
            os.close(descriptor)

    def leave_to_others(self):
        """A prints nothing and copies nothing."""
        self._answering.close()
        for descriptor in self._sources.values():
            os.close(descriptor)

    def finish(self):
        """All that was printed is in the files now: {"pid", "lost_bytes", "reason", "is_whole"}; None if nobody answers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                self._asking.send(b"finish")
                if select.select([self._asking], [], [], 1)[0]:
                    answer = self._asking.recv(PIECE)
                    return json.loads(answer.decode()) if answer else None
            except OSError:
                return None
        return None


def _copy(folder, sources, control, is_whole):
    losses = Losses()
    streams = [_Stream(folder, name, descriptor, losses) for name, descriptor in sources.items()]
    asked = [control]
    while asked or streams:
        ready = select.select([*streams, *asked], [], [])[0]
        streams = [stream for stream in streams if stream not in ready or stream.move()]
        if control in ready:
            if not control.recv(64):
                asked = []  # neither A nor the supervisor lives: whoever still prints is copied all the same
                continue
            streams = [stream for stream in streams if stream.empty()]
            told = {"pid": os.getpid(), "lost_bytes": losses.bytes, "reason": losses.reason, "is_whole": is_whole}
            control.send(json.dumps(told).encode())


class _Stream:
    def __init__(self, folder, name, descriptor, losses):
        self._descriptor = descriptor
        self._losses = losses
        self._path = os.path.join(folder, name)
        self._file = None
        self._is_over = False

    def fileno(self):
        return self._descriptor

    def empty(self):
        """Copy what is there. From now on output is dropped. False at its end."""
        for _ in range(PIPE_BYTES // PIECE):
            try:
                part = os.read(self._descriptor, PIECE)
            except BlockingIOError:
                break
            if not part:
                return False
            self._write(part)
        self._is_over = True
        return True

    def move(self):
        """Copy a piece. False at its end."""
        try:
            part = os.read(self._descriptor, PIECE)
        except BlockingIOError:
            return True
        if part and not self._is_over:
            self._write(part)
        return bool(part)

    def _write(self, part):
        rest = memoryview(part)
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._losses.add(len(rest), error)  # whatever is wrong with the file, the command goes on
