"""What a process has from its parent, and should not keep or pass on."""

import os
import signal

#: What Python ignores; programs don't expect that.
IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ", "SIGXFZ")


def restore_signals():
    """As programs expect them at their start."""
    for name in IGNORED_BY_PYTHON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def let_go_of_standard():
    """Nobody who waits for the end of our input and output waits for us."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def close_all_but(kept):
    """Close what is open besides standard input and output and `kept`."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that listed them
