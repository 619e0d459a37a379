"""One look at attempts: the truth table of docs/architecture.md, by what their folders and /proc show.

Processes are looked at before files: what ended in between is seen in the files. `gone` is a verdict only when a second
look, some time later, agrees.
"""

import time

from .. import evidence, processes
from . import adopting, folders, modules, native, output, results

TOTAL_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


def look(jobs, total=TOTAL_BYTES):
    """A look at each of `jobs`, and of what they printed no more than `total` bytes: {boot, now, jobs: [look]}."""
    scene = Scene()
    looks = [_look_at(job, scene) for job in jobs]
    for job, seen in zip(jobs, looks):
        printed = seen.pop("printed", None)
        if printed is None and ("dir" not in job or seen["state"] not in ("running", "finished", "gone")):
            continue
        for name in ("stdout", "stderr"):
            wanted = job.get(name), min(job.get("chunk", CHUNK_BYTES), total)
            if printed is None:
                seen[name] = output.part(job["dir"], name, *wanted)
            else:
                seen[name] = output.part_of(printed.get(name, b""), *wanted)
            total -= seen[name]["length"]
    return {"boot": processes.boot_id(), "now": time.time(), "jobs": looks}


class Scene:
    """All processes, looked at once at most, for all jobs of a look."""

    def __init__(self):
        self._snapshot = None

    def snapshot(self):
        if self._snapshot is None:
            self._snapshot = processes.Snapshot()
        return self._snapshot

    def carries(self, marker):
        return bool(self.snapshot().carriers(marker.encode()))


def _look_at(job, scene):
    try:
        if "adopt" in job:
            return adopting.look(job["adopt"], scene)
        if not folders.is_there(job["dir"], job["marker"]):
            return _without_folder(job["marker"], scene)
        return look_at(job["dir"], job["marker"], scene)
    except folders.Refused as error:
        return {"state": "absent", "message": "%s: %s" % (job.get("dir"), error)}
    except OSError as error:
        return _running(None, None, False, "unknown: %s" % error, unknown=True)


def look_at(folder, marker, scene):
    """A look at one attempt, whose folder is there."""
    number, claim = evidence.last_claim(folder)
    result = evidence.readable(folder, "result.json")
    if result is not None:
        if _is_being_ended(claim, result):
            return _running(folder, claim, True, "it has ended; what it started is being ended")
        return _finished(folder, claim, result)
    if number == 0:
        return _unclaimed(folder)
    if evidence.is_void(claim):
        return {"state": "void", "cause": claim.get("cause") or "lost", "reason": claim.get("reason") or ""}
    return _by_files(folder, number, claim, *_by_processes(folder, claim, marker, scene))


def _is_being_ended(claim, result):
    """Whether its supervisor still ends what is left of it: it lives until nothing is."""
    is_cut = result.get("cause") is not None or result.get("signal") is not None
    if not is_cut or not _is_taken(claim):
        return False
    return processes.alive(claim["supervisor"]) is True


def _is_taken(claim):
    """Whether it says by whom: it may be for nobody, unreadable, or have been removed since we looked."""
    return isinstance(claim, dict) and not evidence.is_void(claim)


def _without_folder(marker, scene):
    if scene.carries(marker):
        return _running(None, None, False, "its folder was removed; how it ends won't be known")
    # Another one that answers under the host's name knows nothing of it.
    return {"state": "absent", "machine": processes.machine_id()}


def _unclaimed(folder):
    has_token = evidence.exists(folder, "token")
    # A first claim that was taken since we looked has consumed the token.
    if not has_token and evidence.last_claim(folder)[0]:
        return {"state": "claimed"}
    return {"state": "ready" if has_token else "absent"}


def _by_processes(folder, claim, marker, scene):
    """(whether it lives, None if that can't be seen; whether it is supervised; what is to be said about that)."""
    if not _is_taken(claim):
        return scene.carries(marker), False, "its claim can't be read; found by its marker"
    supervisor, ansible = processes.alive(claim["supervisor"]), processes.alive(claim["ansible"])
    if supervisor is None or ansible is None:
        return None, False, _unseen(claim["ansible"])
    if supervisor or ansible:
        return True, supervisor, None if supervisor else "its supervisor is gone; it goes on"
    if claim["supervisor"]["boot"] != processes.boot_id():
        return False, False, None
    # Where it is being ended, what lives on with its marker is ended with it.
    if evidence.readable(folder, "cause.json") is None and _settle_module(folder, None):
        return False, False, None  # it has answered: what lives on with its marker is what it has left behind
    command = evidence.readable(folder, "command.json")
    alone = scene.carries(marker) if command is None else processes.alive(command)
    return alone, False, "both that watched it are gone; how it ends won't be known" if alone is not None else _unseen(command)


def _unseen(process):
    return "unknown: whether pid %d still runs can't be seen from here" % process["pid"]


def _by_files(folder, number, claim, alive, supervised, message):
    if not evidence.exists(folder, "started"):
        if alive is None:
            return {"state": "claimed", "unknown": True, "message": message}
        is_claimed = alive or evidence.last_claim(folder)[0] != number
        return {"state": "claimed" if is_claimed else "never_began"}
    if alive is not False:
        return _running(folder, claim, supervised, message, unknown=alive is None)
    _settle_module(folder, (evidence.readable(folder, "cause.json") or {}).get("cause"))
    result = evidence.readable(folder, "result.json")
    return _finished(folder, claim, result) if result is not None else _gone(folder, claim)


def _settle_module(folder, cause):
    """Whether there is a result, if need be by what a module has answered."""
    plan = folders.read_plan(folder)
    if plan is not None and plan.get("argv") is None and plan.get("shell") is None:
        modules.settle(folder, cause)
    return evidence.readable(folder, "result.json") is not None


def _finished(folder, claim, result):
    plan = folders.read_plan(folder)
    if plan is not None:
        native.settle(folder, plan, folders.job_id_of(folder, claim))
    return {"state": "finished", "result": {**results.by_others(folder), **result}, **_start(folder, claim)}


def _running(folder, claim, supervised, message, unknown=False):
    """`unknown`: it counts as running, because it can't be seen whether it does (R9)."""
    start = {"started_at": None, "job_id": None}
    if folder is not None:
        start = {**_start(folder, claim), "running_for": _running_for(folder, claim)}
    return {"state": "running", "unknown": unknown, "supervised": supervised, "message": message, **start}


def _gone(folder, claim):
    return {"state": "gone", **_why_gone(folder, claim), **_start(folder, claim)}


def _why_gone(folder, claim):
    if evidence.exists(folder, "cleaned"):
        return {"kind": "lost", "why": "it was cleaned up"}
    if _is_taken(claim) and claim["supervisor"]["boot"] != processes.boot_id():
        return {"kind": "lost", "why": "its machine was rebooted"}
    broken = [name for name in ("started", "result.json") if evidence.read(folder, name) == "corrupt"]
    if not _is_taken(claim) or broken:
        return {"kind": "lost", "why": "its %s can't be read" % (broken[0] if broken else "claim")}
    return {"kind": "orphaned", "why": "it began and did not end, and nothing of it runs"}


def _start(folder, claim):
    started = evidence.readable(folder, "started") or {}
    return {
        "started_at": started.get("at"),
        "job_id": folders.job_id_of(folder, claim),
    }


def _running_for(folder, claim):
    """Seconds since the start; by a clock that nobody sets, where that is known to be the one it was started by."""
    started = evidence.readable(folder, "started")
    if started is None:
        return None
    if _is_taken(claim) and claim["supervisor"]["boot"] == processes.boot_id():
        return (time.monotonic_ns() - started.get("monotonic_ns", 0)) / 1e9
    return time.time() - started.get("at", 0)
