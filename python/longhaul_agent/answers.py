"""Lines to the client: written when it takes them, and never waited for."""

import collections
import json
import os

#: With more than this waiting to be taken, no more is read from the forks: they wait in their turn.
ENOUGH_BYTES = 4 * 1024 * 1024


class Answers:
    def __init__(self, descriptor):
        self.descriptor = descriptor
        self._waiting = collections.deque()
        self._bytes = 0
        os.set_blocking(descriptor, False)

    @property
    def waiting(self):
        return self._bytes > 0

    @property
    def enough(self):
        return self._bytes > ENOUGH_BYTES

    def say(self, record):
        self.pass_on(json.dumps(record).encode() + b"\n")

    def pass_on(self, line):
        self._waiting.append(memoryview(line))
        self._bytes += len(line)

    def write(self):
        """Write what fits now. Raises OSError when nobody listens any more."""
        while self._waiting:
            try:
                written = os.write(self.descriptor, self._waiting[0])
            except BlockingIOError:
                return
            self._bytes -= written
            rest = self._waiting.popleft()[written:]
            if rest:
                self._waiting.appendleft(rest)
                return

    def forget(self):
        """In a fork: what waits is the agent's to write."""
        self._waiting.clear()
        os.close(self.descriptor)
