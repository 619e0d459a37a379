"""result.json: how a task's attempt ended."""

import json
import os
import time

from .. import evidence, processes

MOST_LEFTOVERS = 50
#: Larger answers of modules are in module.out alone.
LARGEST_BYTES = 1024 * 1024


def claimants(known, call):
    """What a claim says of a start: who, on which machine, and what Ansible calls it."""
    machine = processes.machine_id()
    on_machine = {name: {**identity, "machine": machine} for name, identity in known.items()}
    return {**on_machine, "job_id": call.job_id, "folder": call.folder}


def publish(folder, record):
    """Whether it is on record. The verdict matters more than what comes with it."""
    small = {**record, "module": _verdict_of(record["module"]), "leftovers": [], "msg": (record["msg"] or "")[:200] or None}
    for attempt in (record, small):
        try:
            evidence.publish(folder, "result.json", attempt)
            return True
        except OSError:
            continue
    return False


def of_command(folder, status, cause, by, storage, leftovers):
    record = of_status(status, cause)
    if record["rc"] and record["msg"] is None:
        record["msg"] = "non-zero return code"
    failed = record["rc"] != 0 or cause is not None
    return {**base(folder, record, by, storage, leftovers), "failed": failed, "changed": True}


def not_executed(folder, number, program, cause):
    """As Ansible's command module tells it: the system's error number as rc."""
    message = "[Errno %d] %s: %s" % (number, os.strerror(number), os.fsdecode(program)[:200])
    record = {"rc": number, "signal": None, "cause": cause, "msg": message, "launch": message}
    return {**base(folder, record, "ansible", None, []), "failed": True}


def is_killed(status):
    """Whether that wait status is of a death by a signal: what it leaves is ended then, and not left on purpose."""
    return status is not None and status.si_code != os.CLD_EXITED


def of_status(status, cause):
    """rc and signal by a wait status, and in words why it ended so."""
    record = {"rc": None, "signal": None, "cause": cause, "msg": None}
    if is_killed(status):
        record["signal"] = status.si_status
        record["msg"] = "ended by signal %d" % status.si_status
    elif status is not None:
        record["rc"] = status.si_status
    if cause is not None:
        record["msg"] = "Timeout exceeded" if cause == "timeout" else "ended: %s" % cause
    return record


def base(folder, record, by, storage, leftovers):
    """All that a result has; `record` says what is known."""
    return {
        "changed": False,
        "module": None,
        **record,
        "at": time.time(),
        "by": by,
        "stdout_bytes": _size(folder, "stdout"),
        "stderr_bytes": _size(folder, "stderr"),
        "storage": storage,
        "leftovers": leftovers,
    }


def by_others(folder):
    """What a result has that was put on record by who ended the attempt, when none was left to tell."""
    return {**base(folder, {"msg": None}, "worker", None, []), "failed": True, "at": None}


def bounded(module):
    """A module's answer as a result has it."""
    if len(json.dumps(module)) <= LARGEST_BYTES:
        return {"module": module}
    return {"module": _verdict_of(module), "module_truncated": True}


def _verdict_of(module):
    return module and {name: module[name] for name in ("rc", "changed", "failed") if name in module}


def storage_of(lost_bytes, reason):
    """What the disk did not take, if anything."""
    return {"lost_bytes": lost_bytes, "reason": reason} if lost_bytes else None


def leftovers(folder, plan, own):
    """What lives on after a natural end, besides the pids in `own`, which are all that the start itself brought."""
    attempt = processes.Attempt.read(folder, plan["marker"])
    if _has_no_others(attempt.supervisor, own):
        return []
    return [process.describe() for process in attempt.members(but=own)][:MOST_LEFTOVERS]


def _has_no_others(supervisor, own):
    """The short way: what loses its parent becomes a child of the supervisor."""
    if not processes.alive(supervisor):
        return False
    children = [processes.children(parent) for parent in {supervisor["pid"], os.getpid()}]
    return all(pids is not None and set(pids) <= own for pids in children)


def _size(folder, name):
    try:
        return os.stat(os.path.join(folder, name)).st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return None
