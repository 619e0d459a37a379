"""Ends tasks, all those of a call side by side: cause on record, TERM, KILL after the grace, and proof that none is left."""

import threading
import time

from .. import ending as attempts
from .. import evidence, processes
from . import adopting, folders, modules, native

STACK_BYTES = 512 * 1024
CAUSES = (*evidence.CAUSES, *attempts.VERDICTS, "launch")


def end(jobs):
    """{jobs: [{left: [{pid, command}], unknown, machine?}]}; `machine` where the attempt's folder is not there."""
    seen = SharedSnapshots()
    answers = [None] * len(jobs)

    def work(index):
        try:
            answers[index] = _end(jobs[index], seen)
        except (OSError, folders.Refused) as error:
            answers[index] = {"left": [], "unknown": str(error)}

    threading.stack_size(STACK_BYTES)
    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"jobs": answers}


def _end(job, seen):
    if "adopt" in job:
        return adopting.end(job["adopt"], job["grace"], seen.fresh)
    folder = job["dir"]
    is_there = folders.is_there(folder, job["marker"])
    if job["cause"] not in CAUSES:
        raise folders.Refused("no cause of an end: %s" % job["cause"])
    if is_there:
        _settle(folder)
    ended = attempts.end(folder, job["marker"], job["cause"], job["grace"], job.get("reason") or "", seen.fresh)
    if not is_there:
        ended["machine"] = processes.machine_id()
    plan = folders.read_plan(folder) if is_there else None
    if plan is not None and not ended["left"] and ended["unknown"] is None:
        _, claim = evidence.last_claim(folder)
        if evidence.is_void(claim) or evidence.readable(folder, "result.json") is not None:  # else it runs: see `launch`
            native.settle(folder, plan, folders.job_id_of(folder, claim))
    return ended


def _settle(folder):
    """A module that answered before there was a cause has ended by itself (R5), also when nobody was left to record that."""
    _, claim = evidence.last_claim(folder)
    if not isinstance(claim, dict) or evidence.is_void(claim):
        return
    known = [processes.alive(claim[which]) for which in ("supervisor", "ansible")]
    if known == [False, False] and all(evidence.readable(folder, name) is None for name in ("cause.json", "result.json")):
        modules.settle(folder, None)


class SharedSnapshots:
    """A look at all processes is worth a lot where there are many: who asks during one shares the next."""

    def __init__(self):
        self._lock = threading.Lock()
        self._begun_at = None
        self._last = None

    def fresh(self):
        """One that was begun after this call: what lives now and then is in it."""
        asked_at = time.monotonic()
        with self._lock:
            if self._begun_at is None or self._begun_at < asked_at:
                self._begun_at = time.monotonic()
                self._last = processes.Snapshot()
            return self._last
