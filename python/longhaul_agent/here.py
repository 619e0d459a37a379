"""The verb `here`: what is asked on targets, asked of this machine as the agent's own user, without Ansible."""

import traceback

from longhaul_attempt.target.verbs import VERBS


def here(request, report):
    """The error that the request ends with, None if it was answered."""
    verb = VERBS.get(request["module"])
    if verb is None:
        return {"kind": "invalid", "msg": f"{request['module']} is none of {', '.join(VERBS)}"}
    try:
        answer = verb(**request["args"])
    except Exception as error:  # as a module that fails on a target
        traceback.print_exc()
        report.task(0, "failed", {"failed": True, "msg": f"{type(error).__name__}: {error}"})
    else:
        report.task(0, "ok", answer)
    return None
