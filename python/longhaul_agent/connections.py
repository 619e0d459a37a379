"""ssh connections that several requests share (ControlPersist). They are nobody's to end; but who waits on one may leave it."""

import os
import re

from longhaul_attempt import processes

CONTROL_PATH = re.compile(rb'ControlPath="?(/[^"]+)"?$')


def leave(found):
    """Have those who come later connect anew, because on the connections of these processes there was no answer in time.

    Without its socket a connection gets no new users, and ends when it has none any more.
    """
    for process in found:
        program, *words = processes.command_line(process.pid) or [b""]
        if os.path.basename(program) == b"ssh":
            for path in filter(None, map(CONTROL_PATH.search, words)):
                _remove(path.group(1))


def _remove(socket):
    try:
        os.unlink(socket)
    except OSError:
        pass  # it never had one, or has ended
