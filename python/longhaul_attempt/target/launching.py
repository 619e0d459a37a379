"""What Ansible's `async` comes to on the target: starts the attempt of the folder in ANSIBLE_ASYNC_DIR, at most once.

Ansible's process (apart.py) -> this process P -> fork, own session, fork -> the supervisor S, nobody's child. P answers as
soon as it is known who holds the claim: a start that comes too late is told the job that runs.
"""

import json
import os

from .. import evidence, supervision
from . import folders, inheritance, native
from .call import Call
from .commands import CommandRun
from .folders import Refused
from .modules import ModuleRun


def main(arguments):
    print(json.dumps(launch(arguments, os.environ)))


def launch(arguments, environment):
    """The answer for Ansible."""
    try:
        call = Call(arguments)
    except (Refused, OSError) as error:
        return _failure(error, "failed")
    try:
        folder, token = _asked_for(environment)
        plan = _plan_for(call, folder, token, environment)
        told = _supervised(folder, plan, token, call)
    except Refused as error:
        told = {"claim": "absent", "reason": str(error)}
    except OSError as error:
        told = {"claim": "failed", "reason": str(error)}
    if told["claim"] != "taken":
        call.remove_folder()
    return _answer(told, call)


def _asked_for(environment):
    folder, token = environment.get("ANSIBLE_ASYNC_DIR"), environment.get("LONGHAUL_TOKEN")
    if not token:
        raise Refused("this async_wrapper starts tasks of longhaul alone, and this one has no LONGHAUL_TOKEN")
    if not folder or not folders.is_there(folder):
        raise Refused("nothing was prepared in %s" % folder)
    return folder, token


def _plan_for(call, folder, token, environment):
    plan = folders.read_plan(folder)
    if plan is None:
        raise Refused("the plan in %s can't be read" % folder)
    if plan["token"] != token:
        raise Refused("what was prepared in %s has another token" % folder)
    name, _, value = plan["marker"].partition("=")
    if environment.get(name) != value:
        raise Refused("the task's environment lacks %s" % plan["marker"])
    if call.is_command != any(plan.get(kind) is not None for kind in ("argv", "shell")):
        raise Refused("the module that was called is not what was prepared in %s" % folder)
    return plan


def _supervised(folder, plan, token, call):
    """Detach a supervisor; what it tells of the claim."""
    answer_read, answer_write = os.pipe()
    supervision.detach(lambda launchers: _supervise(folder, plan, token, call, launchers, answer_write))
    os.close(answer_write)
    with open(answer_read, "rb") as answer:
        line = answer.readline()
    if not line.endswith(b"\n"):
        return {"claim": "unknown", "reason": "the supervisor died"}
    return json.loads(line.decode())


def _supervise(folder, plan, token, call, launchers, answer):
    for name in ("LONGHAUL_TOKEN", "ANSIBLE_ASYNC_DIR"):
        os.environ.pop(name, None)
    inheritance.let_go_of_standard()  # neither ssh nor Ansible waits for us
    inheritance.close_all_but({answer})
    try:
        supervision.become_subreaper()
        run = (CommandRun if call.is_command else ModuleRun)(folder, plan, launchers, call)
        told = {"claim": run.claim(token)}
        told.update(_holder(folder, told["claim"]))
    except FileNotFoundError as error:
        told = {"claim": "failed" if os.path.isdir(folder) else "absent", "reason": str(error)}
    except (OSError, ValueError) as error:
        told = {"claim": "failed", "reason": str(error)}
    try:
        os.write(answer, json.dumps(told).encode() + b"\n")
    except BrokenPipeError:
        pass  # Ansible is gone: who looks reads the claim
    os.close(answer)
    if told["claim"] == "taken":
        run.watch()
        native.settle(folder, plan, call.job_id)
        call.remove_folder()


def _holder(folder, state):
    """What there is to be said of the claim that counts."""
    _, claim = evidence.last_claim(folder)
    if state == "void":
        claim = claim if isinstance(claim, dict) else {}
        return {"cause": claim.get("cause"), "reason": claim.get("reason") or "it was ended before it began"}
    return {"job_id": folders.job_id_of(folder, claim), "results_file": folder}


def _answer(told, call):
    if told["claim"] not in ("taken", "held", "started"):
        return _failure(told.get("reason") or "nothing was prepared, or something else", told["claim"], told)
    if told.get("job_id") is None:
        return _failure("it is started, and its claim can't be read", told["claim"], told)
    return {
        **native.running(told["job_id"]),
        "failed": False,
        "results_file": os.path.join(told["results_file"], told["job_id"]),
        "_ansible_suppress_tmpdir_delete": call.folder is not None,
        "longhaul": {"claim": told["claim"]},
    }


def _failure(error, state, told=None):
    told = told or {}
    longhaul = {"claim": state, **{name: told[name] for name in ("cause", "reason") if told.get(name)}}
    if state == "failed":
        longhaul["kind"] = "launch"
    return {"failed": True, "msg": "Not started: %s" % error, "longhaul": longhaul}
