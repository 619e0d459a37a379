"""What is kept of attempts, and for how long: their claims outlive them, so that none is ever started twice."""

import os
import re
import shutil
import time

from .. import evidence
from . import folders, looking

#: What is left after a clean-up, besides the claims.
KEPT = ("plan.json", "started", "result.json", "cleaned")
MOST_AT_ONCE = 500
#: As folders are made and removed; the folder may be one where others keep theirs, too.
HALF_MADE = re.compile(r"\.(new\.[0-9a-f]{32}\.[0-9a-f]{16}|old\.[0-9a-f]{32})\Z")
HALF_MADE_SECONDS = 3600


def purge(base):
    """Remove what has expired below `base`: what was cleaned up, has ended, or was never started."""
    now = time.time()
    scene = looking.Scene()
    removed = 0
    for name in os.listdir(base):
        folder = os.path.join(base, name)
        if removed == MOST_AT_ONCE:
            return
        if HALF_MADE.match(name):
            removed += _remove_half_made(folder, now)
        elif folders.ID.match(name) and _has_expired(folder, now, scene):
            removed += _remove(folder)


def strip(folder, kept):
    """Leave only what tells that it was started, until `kept` seconds from now."""
    now = time.time()
    if not evidence.exists(folder, "cleaned"):
        evidence.publish(folder, "cleaned", {"at": now, "expires_at": now + kept})
    for name in os.listdir(folder):
        if name in KEPT or name.startswith("claim."):
            continue
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    evidence.sync_folder(folder)


def _has_expired(folder, now, scene):
    try:
        if not folders.is_there(folder):
            return False
        cleaned = evidence.readable(folder, "cleaned")
        if cleaned is not None:
            return cleaned.get("expires_at", now) < now
        plan = folders.read_plan(folder)
        if plan is None or plan["made_at"] + plan["kept"] > now:
            return False
        return _is_over(folder, plan, now, scene)
    except (OSError, folders.Refused):
        return False


def _is_over(folder, plan, now, scene):
    seen = looking.look_at(folder, plan["marker"], scene)
    if seen["state"] == "finished":
        return seen["result"]["at"] + plan["kept"] < now
    if seen["state"] in ("void", "gone"):
        return True
    if seen["state"] not in ("ready", "never_began", "absent"):
        return False
    # By taking the claim, as any verdict that it never started.
    void = {"void": True, "cause": "launch", "reason": "it was not started in time", "at": now}
    number, _ = evidence.last_claim(folder)
    return evidence.publish(folder, "claim.%d" % (number + 1), void)


def _remove(folder):
    aside = os.path.join(os.path.dirname(folder), ".old." + os.path.basename(folder))
    try:
        os.rename(folder, aside)
    except OSError:
        return 0  # another one removes it
    shutil.rmtree(aside, ignore_errors=True)
    return 1


def _remove_half_made(folder, now):
    try:
        found = os.lstat(folder)
        if found.st_uid != os.geteuid() or found.st_mtime + HALF_MADE_SECONDS > now:
            return 0
    except OSError:
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    return 1
