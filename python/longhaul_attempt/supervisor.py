"""Starts a playbook's attempt at most once and stays with it to its end.

The caller (the worker) -> this program -> fork, own session, fork -> the supervisor S, nobody's child. What S does is
told in supervision.py; A becomes Ansible, and writes the result itself.
"""

import json
import os
import signal
import sys
import time

from . import evidence, supervision


def start(folder, token):
    """Detach a supervisor for the attempt in `folder`. Prints {"claim": ...} once it is known who may start it.

    claim: taken (by this one) | held (by a living one) | started | void | absent (neither token nor claim there).
    """
    supervision.detach(lambda launchers: _supervise(folder, token, launchers))


def _supervise(folder, token, launchers):
    try:
        supervision.become_subreaper()
        run = _PlaybookRun(folder, _read_plan(folder), launchers)
        state = run.claim(token)
    except (OSError, ValueError) as error:
        _answer({"claim": "failed", "reason": str(error)})
        return
    _answer({"claim": state})
    if state == "taken":
        run.watch()


def _answer(record):
    """Tell the caller, if it still listens, and let go of its pipe."""
    try:
        os.write(1, json.dumps(record).encode() + b"\n")
    except OSError:
        pass  # the worker died: its successor reads the claim
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _read_plan(folder):
    plan = evidence.readable(folder, "attempt.json") or {}
    expected = {"marker": str, "argv": list, "cwd": str, "grace": (int, float)}
    unreadable = [name for name, kind in expected.items() if not isinstance(plan.get(name), kind)]
    if unreadable or not isinstance(plan.get("timeout"), (int, float, type(None))):
        raise ValueError("%s/attempt.json can't be read" % folder)
    return plan


class _PlaybookRun(supervision.Supervision):
    def set_stage(self):
        os.chdir(self.plan["cwd"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(os.path.join(self.folder, "stdout.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(nothing)
        os.close(output)
        sys.stdout = sys.stderr = None

    def act(self, report):
        argv = self.plan["argv"]
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            os.execvp(argv[0], argv)
        except BaseException as error:
            record = {"rc": None, "signal": None, "by": "ansible", "cause": None, "at": time.time(), "leftovers": []}
            evidence.publish(self.folder, "result.json", {**record, "launch": "%s: %s" % (argv[0], error)})

    def record(self, status):
        record = {"rc": None, "signal": None, "by": "supervisor", "cause": self.cause(), "at": time.time()}
        if status is not None and status.si_code == os.CLD_EXITED:
            record["rc"] = status.si_status
        elif status is not None:
            record["signal"] = status.si_status
        return record
