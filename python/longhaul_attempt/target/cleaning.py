"""Removes what nobody asks for any more of attempts that are over."""

import os
import shutil

from .. import evidence, processes
from . import expiry, folders, looking

OVER = ("finished", "void", "gone", "absent")


def clean(dirs, kept):
    """Leave of each attempt what tells that it was started, for `kept` seconds: {jobs: [{cleaned, reason}]}."""
    scene = looking.Scene()
    return {"jobs": [_cleaned(folder, kept, scene) for folder in dirs]}


def _cleaned(folder, kept, scene):
    try:
        if not folders.is_there(folder):
            return {"cleaned": True, "reason": "it is not there"}
        plan = folders.read_plan(folder)
        if plan is None:
            return _refused("its plan can't be read")
        seen = looking.look_at(folder, plan["marker"], scene)
        if seen["state"] not in OVER:
            return _refused("it is %s" % seen["state"])
        _, claim = evidence.last_claim(folder)
        if isinstance(claim, dict) and any(processes.alive(claim.get(name)) for name in ("supervisor", "ansible")):
            return _refused("it is just ending")
        _remove_ansibles_folder(claim)
        expiry.strip(folder, kept)
        return {"cleaned": True, "reason": None}
    except (OSError, folders.Refused) as error:
        return _refused(str(error))


def _refused(reason):
    return {"cleaned": False, "reason": reason}


def _remove_ansibles_folder(claim):
    """What the supervisor would have removed at its end."""
    folder = claim.get("folder") if isinstance(claim, dict) else None
    if isinstance(folder, str) and os.path.basename(folder).startswith("ansible-tmp-") and not os.path.islink(folder):
        shutil.rmtree(folder, ignore_errors=True)
