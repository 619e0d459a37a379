"""Ends an attempt from outside: cause on record first, then signals, then proof that nothing is left.

Safe to call at any time, by several at once, and again after a crash in the middle.
"""

import os
import signal
import time

from . import evidence, processes

#: How much longer than the grace the supervisor may take before it is passed over.
SUPERVISOR_EXTRA_SECONDS = processes.VERIFY_SECONDS + 2
#: Causes that nobody asks for: what a look has found, of what left neither a process nor a result.
VERDICTS = ("lost", "orphaned")


def end(folder, marker, cause, grace, reason="", snapshot=processes.Snapshot):
    """End the attempt in `folder`. cause: cancel | terminated | timeout | launch, or one of VERDICTS; grace: seconds
    from TERM to KILL.

    Returns {"left": [{pid, command}], "unknown": str|None}: what could not be killed or inspected. With nothing left,
    a void claim or a result is on disk, unless the folder is gone. With `launch` only the claim is taken, if it is
    free: another start may have won it, and that one's attempt is not to be ended because this one failed.
    """
    grace = float(grace)
    gone = not os.path.isdir(folder)
    ended = None if gone else _over_already(folder) or _void(folder, marker, cause, reason)
    if ended == "naturally" or (ended is None and cause == "launch"):
        return {"left": [], "unknown": None}
    if ended is None and not gone and cause not in VERDICTS:
        evidence.publish(folder, "cause.json", {"cause": cause, "reason": reason, "at": time.time()})
    attempt = processes.Attempt.read(folder, marker)
    attempt.snapshot = snapshot
    _ask_supervisor(attempt, grace)
    if not gone and _over_already(folder) == "naturally":
        return {"left": [], "unknown": None}  # it ended by itself before the first signal
    unknown = _uninspectable(attempt.supervisor, attempt.ansible)
    if unknown is not None:
        return {"left": [], "unknown": unknown}
    subreaper = attempt.supervisor["pid"] if processes.alive(attempt.supervisor) else None
    left, hidden = processes.end_all(attempt, grace, subreaper, None if gone else folder)
    if left or hidden or evidence.exists(folder, "left.json"):
        attempt.remember(folder, left)
    if hidden:
        named = ", ".join("pid %d" % pid for pid in sorted(hidden)[:10])
        unknown = "what it runs as somebody else can't be killed by us, and /proc hides it: %s" % named
    elif not left:
        unknown = _uninspectable(evidence.readable(folder, "command.json"))
    if not (left or unknown or gone):
        _conclude(folder, marker, cause, reason)
    return {"left": [process.describe() for process in left], "unknown": unknown}


def _over_already(folder):
    """ "naturally" if it ended by itself: what it left running on purpose is not ours to kill. Else None."""
    result = evidence.readable(folder, "result.json")
    if result is None:
        return None
    natural = result.get("rc") is not None and result.get("cause") is None
    return "naturally" if natural else "otherwise"


def _void(folder, marker, cause, reason):
    """Take the claim for nobody, if it is free: "void" if nothing was started and nothing will be."""
    while True:
        number, claim = evidence.last_claim(folder)
        if evidence.is_void(claim):
            return "void"
        if number and not _never_began(folder, marker, claim):
            return None
        # What never began is not orphaned, whatever has become of its records since a look at them.
        record = {"void": True, "cause": "lost" if cause in VERDICTS else cause, "reason": reason, "at": time.time()}
        if evidence.publish(folder, "claim.%d" % (number + 1), record):
            return "void"


def _never_began(folder, marker, claim):
    """The claimant is dead, and it had not started: processes before files."""
    if not isinstance(claim, dict):
        if processes.Attempt.read(folder, marker).members():
            return False
    elif processes.alive(claim.get("supervisor")) is not False or processes.alive(claim.get("ansible")) is not False:
        return False
    return not evidence.exists(folder, "started") and evidence.readable(folder, "result.json") is None


def _ask_supervisor(attempt, grace):
    """The supervisor knows its descendants best: let it do the killing, for as long as that may take."""
    supervisor = attempt.supervisor
    if not supervisor or not processes.alive(supervisor):
        return
    until = time.monotonic() + grace + SUPERVISOR_EXTRA_SECONDS
    for process in attempt.members():
        if process.pid == supervisor["pid"]:
            processes.send(process, signal.SIGTERM)
    while processes.alive(supervisor) and time.monotonic() < until:
        time.sleep(processes.LOOK_SECONDS)


def _uninspectable(*identities):
    for known in identities:
        if known and processes.alive(known) is None:
            return "whether pid %s lives can't be seen: it is hidden, or of another pid namespace or machine" % known.get("pid")
    return None


def _conclude(folder, marker, cause, reason):
    """A verdict for what left none: void if it never began, else that it was ended or lost."""
    if _void(folder, marker, cause, reason) == "void":
        return
    # The first cause wins: what somebody else ends at this moment is found dead, and was not lost.
    known = evidence.readable(folder, "cause.json")
    record = {"rc": None, "signal": None, "by": "worker", "cause": None, "lost": None, "at": time.time()}
    if known is not None:
        record["cause"] = known["cause"]
    elif cause in VERDICTS:
        record.update(lost=reason, verdict=cause)
    else:
        record["cause"] = cause
    evidence.publish(folder, "result.json", record)
