"""Runs a command as the first process of many a container does: what that leaves behind is never waited for. Ends with stdin."""

import ctypes
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36

if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl")
subprocess.run(sys.argv[1:], check=True)
sys.stdin.read()
