"""Starts a task from a process that has loaded nothing but what it takes.

Those that stay with a task for as long as it runs are forks of the one that starts it; what Ansible has loaded into this
process by now is several times what they need. It has the task's marker in its environment, as they have.
"""

import errno
import json
import os
import secrets
import sys

from .call import COMMAND_MODULE

PACKAGE = __name__.rpartition(".")[0]
#: The folder or zip file that we come from; where Ansible has brought it, it is removed when this process has ended.
ROOT = os.path.abspath(__file__).rpartition(os.sep + os.path.join(*__name__.split(".")))[0]
#: What those who look through processes know us by.
LABEL = "longhaul/async_wrapper.py"
NOT_EXECUTED, NOT_NOW = 127, 126
BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); __import__('importlib').import_module(sys.argv[2]).main(sys.argv[4:])"


def launch_commands(jobs):
    """Start the commands of prepared attempts ({dir, token}), one after another: {jobs: [what the wrapper answers]}.

    As `async` would have it, without the way that Ansible goes for it: several connections for each.
    """
    return {"jobs": [_launch_command(**job) for job in jobs]}


def _launch_command(dir, token):
    as_ansible_calls = ["j%d" % secrets.randbelow(10**12), "0", "/" + COMMAND_MODULE, "_", "-preserve_tmp"]
    given = {"LONGHAUL_TASK": os.path.basename(dir), "LONGHAUL_TOKEN": token, "ANSIBLE_ASYNC_DIR": dir}
    try:
        return launch(as_ansible_calls, {**os.environ, **given})
    except (OSError, ValueError) as error:  # the others are started all the same
        return _unknown(error)


def launch(arguments, environment=os.environ):
    """The answer for Ansible. `environment`: that of the task."""
    told, code = _told_by_another(arguments, environment)
    if told.endswith(b"\n"):
        return json.loads(told.decode())
    if code == NOT_EXECUTED and environment is os.environ:
        # No Python can be started by the name that this one has for itself.
        from .launching import launch as launch_here

        return launch_here(arguments, os.environ)
    if code == NOT_EXECUTED:
        # Nor can it be done here, where the environment is not that of the task.
        reason = "Not started: %s" % told.decode("utf-8", "replace")
        return {"failed": True, "msg": reason, "longhaul": {"claim": "failed", "kind": "launch"}}
    return _unknown(told.decode("utf-8", "replace") or "killed while it was")


def _unknown(why):
    """It may be tried again, and may have been started."""
    return {"failed": True, "msg": "Not started, or %s" % why, "longhaul": {"claim": "unknown"}}


def _told_by_another(arguments, environment):
    """What the other process prints, and its exit code; None if it was killed."""
    command = [sys.executable, "-I", "-S", "-B", "-c", BEGIN, ROOT, PACKAGE + ".launching", LABEL, *arguments]
    answer_read, answer_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(answer_write, 1)
            os.execve(command[0], command, environment)
        except OSError as error:
            os.write(answer_write, str(error).encode())
            os._exit(NOT_NOW if error.errno in (errno.EAGAIN, errno.ENOMEM) else NOT_EXECUTED)
        finally:
            os._exit(NOT_EXECUTED)
    os.close(answer_write)
    with open(answer_read, "rb") as answer:
        told = answer.read()
    _, status = os.waitpid(pid, 0)
    return told, os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
