"""Writing to a disk that may be full: the playbook goes on, and the loss is counted.

Losing output must not change what the playbook does, and must not be passed over either.
"""

import errno
import io
import os

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class Losses:
    """What the disk did not take, over all files of a run."""

    def __init__(self):
        self.bytes = 0
        self.reason = None

    def add(self, count, error):
        self.bytes += count
        self.reason = self.reason or error.strerror


class _TolerantFile(io.FileIO):
    def __init__(self, descriptor, losses):
        super().__init__(descriptor, "wb", closefd=False)
        self._losses = losses

    def write(self, content):
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._losses.add(len(content), error)
            return len(content)


def tolerant_stream(descriptor, losses):
    """A text stream on `descriptor` for sys.stdout and sys.stderr."""
    buffered = io.BufferedWriter(_TolerantFile(descriptor, losses))
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape", line_buffering=True)


class TolerantLines:
    """Appends lines to a file, each by one write and at once; the file is made with the first."""

    def __init__(self, path, losses):
        self._path = path
        self._losses = losses
        self._descriptor = None

    def append(self, line):
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._losses.add(len(line), error)
