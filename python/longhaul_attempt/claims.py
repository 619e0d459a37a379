"""Who may start an attempt: its token, and claims with numbers of which the last one counts."""

import os
import time

from . import evidence, processes

MAX_CLAIMS = 5


def take(folder, marker, token, claimants, own):
    """Take the next claim for `claimants`, if it is free: (what became of it, the number of the claim that counts).

    taken (by this call) | held (by a living one) | started | void | absent (neither token nor claim there).
    `own`: pids that carry the marker and are the caller's.
    """
    while True:
        state, number = _next_claim(folder, marker, token, own)
        if state != "free":
            return state, number
        cause = evidence.readable(folder, "cause.json")
        if cause is not None:  # it is being ended already: nobody may start it any more
            evidence.publish(folder, "claim.%d" % number, {**cause, "void": True})
            continue
        if evidence.publish(folder, "claim.%d" % number, {"void": False, "at": time.time(), **claimants}):
            _consume_token(folder)
            return "taken", number


def _next_claim(folder, marker, token, own):
    """("free", number of the claim to take) or (why none may be taken, the last number). Processes before files."""
    number, claim = evidence.last_claim(folder)
    if number == 0:
        try:
            return ("free", 1) if _read_text(folder, "token") == token else ("absent", 0)
        except FileNotFoundError:
            return ("absent", 0) if evidence.last_claim(folder)[0] == 0 else _next_claim(folder, marker, token, own)
    if evidence.is_void(claim):
        return "void", number
    if claim == "corrupt":
        if processes.Attempt.read(folder, marker).members(but=own):
            return "held", number
    elif processes.alive(claim.get("supervisor")) is not False or processes.alive(claim.get("ansible")) is not False:
        return "held", number
    if evidence.exists(folder, "started") or evidence.readable(folder, "result.json") is not None:
        return "started", number
    if number >= MAX_CLAIMS:
        reason = "%d starts died before their first instruction" % number
        evidence.publish(folder, "claim.%d" % (number + 1), {"void": True, "cause": "launch", "reason": reason})
        return "void", number + 1
    return "free", number + 1


def _read_text(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def _consume_token(folder):
    try:
        os.unlink(os.path.join(folder, "token"))
    except FileNotFoundError:
        pass  # an earlier claim consumed it
