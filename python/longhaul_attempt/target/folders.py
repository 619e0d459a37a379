"""The folder of a task's attempt: where it is, and whether a path is one.

<home>/.longhaul/tasks/<id>, and in it, besides what evidence.py tells of:

plan.json               what is to be run, by whom it is known, and how long its claim is kept
stdout, stderr          what it printed; for a module those of its result
module.out, module.err  what a module's process printed
command.json            which process the command is
<job_id>                Ansible's own async file, for async_status
cleaned                 only the claims are left, until expires_at
"""

import os
import pwd
import re
import stat

from .. import evidence

ID = re.compile(r"[0-9a-f]{32}\Z")
JOB_ID = re.compile(r"j\d+\.\d+\Z")


class Refused(Exception):
    """What was asked for is not done, and why."""


def home():
    """The home of the user that we are, by the password database: $HOME may be another's."""
    return pwd.getpwuid(os.geteuid()).pw_dir


def expanded(path):
    return home() + path[1:] if path == "~" or path.startswith("~/") else path


def base_folder(base):
    return os.path.join(home(), ".longhaul", "tasks") if base is None else expanded(base)


def marker_of(attempt_id):
    """The environment entry that every process of an attempt carries."""
    return "LONGHAUL_TASK=" + attempt_id


def is_there(folder, marker=None):
    """Whether there is an attempt folder of ours; Refused if the path, or the marker, is of anything else."""
    if not isinstance(folder, str) or os.path.normpath(folder) != folder or not os.path.isabs(folder):
        raise Refused("not a plain absolute path")
    if not ID.match(os.path.basename(folder)):
        raise Refused("not the name of an attempt folder")
    if marker is not None and marker != marker_of(os.path.basename(folder)):
        raise Refused("not the marker of this attempt")
    try:
        found = os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise Refused("not a folder")
    if found.st_uid != os.geteuid():
        raise Refused("another user's folder")
    return True


def read_plan(folder):
    """plan.json, or None if it can't be read as that of this folder."""
    plan = evidence.readable(folder, "plan.json") or {}
    kinds = {"id": str, "marker": str, "token": str, "grace": (int, float), "kept": (int, float), "made_at": (int, float)}
    fits = all(isinstance(plan.get(name), kind) for name, kind in kinds.items())
    fits = fits and isinstance(plan.get("timeout"), (int, float, type(None)))
    return plan if fits and plan["id"] == os.path.basename(folder) else None


def job_id_of(folder, claim):
    """Ansible's name for what was started: on record in the claim, else by its async file."""
    if isinstance(claim, dict) and isinstance(claim.get("job_id"), str) and JOB_ID.match(claim["job_id"]):
        return claim["job_id"]
    return next((name for name in sorted(os.listdir(folder)) if JOB_ID.match(name)), None)
