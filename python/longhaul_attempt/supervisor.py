"""Starts an attempt at most once and stays with it to its end.

The caller (the worker) -> this program -> fork, own session, fork -> the supervisor S, nobody's child.
S forks A, which waits; S takes a numbered claim that names both; A then makes `started` durable and becomes
Ansible. A writes the result itself. S adds what A can't say (a signal), keeps the time limit, and ends what is left.
"""

import ctypes
import json
import os
import signal
import sys
import time

from longhaul_attempt import evidence, processes

PR_SET_CHILD_SUBREAPER = 36
MAX_CLAIMS = 5


def start(folder, token):
    """Detach a supervisor for the attempt in `folder`. Prints {"claim": ...} once it is known who may start it.

    claim: taken (by this one) | held (by a living one) | started | void | absent (neither token nor claim there).
    """
    launchers = {os.getpid()}
    if os.fork() == 0:
        os.setsid()
        launchers.add(os.getpid())
        if os.fork() != 0:
            os._exit(0)
        _supervise(folder, token, launchers)
        os._exit(0)
    os.wait()


def _supervise(folder, token, launchers):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP})
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        _answer({"claim": "failed", "reason": "prctl(PR_SET_CHILD_SUBREAPER) failed"})
        return
    try:
        run = _Run(folder, _read_plan(folder), launchers)
        state = run.claim(token)
    except (OSError, ValueError) as error:
        _answer({"claim": "failed", "reason": str(error)})
        return
    _answer({"claim": state})
    if state == "taken":
        run.watch()


def _answer(record):
    """Tell the caller, if it still listens, and let go of its pipe."""
    try:
        os.write(1, json.dumps(record).encode() + b"\n")
    except OSError:
        pass  # the worker died: its successor reads the claim
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _read_plan(folder):
    plan = evidence.readable(folder, "attempt.json") or {}
    expected = {"marker": str, "argv": list, "cwd": str, "grace": (int, float)}
    unreadable = [name for name, kind in expected.items() if not isinstance(plan.get(name), kind)]
    if unreadable or not isinstance(plan.get("timeout"), (int, float, type(None))):
        raise ValueError("%s/attempt.json can't be read" % folder)
    return plan


def _read_text(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


class _Run:
    def __init__(self, folder, plan, launchers):
        self.folder = folder
        self.plan = plan
        self.launchers = launchers  # those that led to us and may not be gone yet: they carry the marker too
        self.ansible = 0
        self.number = 0
        self.attempt = None

    def claim(self, token):
        """Fork A, take the next claim in both names, and release A if it was won."""
        gate_read, gate_write = os.pipe()
        self.report, report_write = os.pipe()
        self.ansible = os.fork()
        if self.ansible == 0:
            os.close(gate_write)
            os.close(self.report)
            _become_ansible(self.folder, self.plan, gate_read, report_write)
        os.close(gate_read)
        os.close(report_write)
        state, self.number = self._take(token)
        if state == "taken":
            self._release(gate_write)
        os.close(gate_write)
        if state != "taken":
            os.waitpid(self.ansible, 0)
        return state

    def _release(self, gate):
        try:
            os.write(gate, b"%d\n" % self.number)
        except BrokenPipeError:
            pass  # A was killed at the gate: the claim is free again as soon as we end

    def _take(self, token):
        mine = {"supervisor": processes.identity(os.getpid()), "ansible": processes.identity(self.ansible)}
        self.attempt = processes.Attempt(self.plan["marker"], **mine)
        while True:
            own = {os.getpid(), self.ansible, *self.launchers}
            state, number = _next_claim(self.folder, self.plan["marker"], token, own)
            if state != "free":
                return state, number
            cause = evidence.readable(self.folder, "cause.json")
            if cause is not None:  # it is being ended already: nobody may start it any more
                evidence.publish(self.folder, "claim.%d" % number, {**cause, "void": True})
                continue
            if evidence.publish(self.folder, "claim.%d" % number, {"void": False, "at": time.time(), **mine}):
                _consume_token(self.folder)
                return "taken", number

    def watch(self):
        """Wait for A's end; end it on request or at its time limit; put on record what A could not."""
        refusal = self._await_start()
        if refusal is not None:
            record = {"void": True, "cause": "launch", "reason": refusal, "at": time.time()}
            evidence.publish(self.folder, "claim.%d" % (self.number + 1), record)
            os.waitpid(self.ansible, 0)
            return
        if not self._began():
            os.waitpid(self.ansible, 0)  # A died before its first instruction: the next claim may be taken
            return
        timeout = self.plan.get("timeout")
        deadline = None if timeout is None else time.monotonic() + timeout
        status = None
        while status is None:
            status = self._ansibles_end()
            if status is None and self._told_to_end(deadline):
                self._terminate()
                status = self._ansibles_end()
        self._conclude(status)

    def _await_start(self):
        """Why A can't start, as it reports; None when its end of the pipe closes: by its exec, or by its death."""
        with open(self.report, "rb") as report:
            line = report.readline().decode("utf-8", "replace")
        return line.strip() or None

    def _began(self):
        started = evidence.read(self.folder, "started")
        if not isinstance(started, dict):
            return started == "corrupt"
        return (started.get("claim"), started.get("pid")) == (self.number, self.ansible)

    def _ansibles_end(self):
        """A's wait status, left unreaped until the result is on disk; None while it runs. Reaps all others."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return None
            if ended is None:
                return None
            if ended.si_pid == self.ansible:
                return ended
            os.waitpid(ended.si_pid, 0)

    def _told_to_end(self, deadline):
        """Sleep until something happens; whether the attempt is to be ended now."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            self._publish("cause.json", {"cause": "timeout", "at": time.time()})
            return evidence.readable(self.folder, "result.json") is None  # else A has just ended by itself
        wanted = {signal.SIGTERM, signal.SIGCHLD}
        got = signal.sigwaitinfo(wanted) if left is None else signal.sigtimedwait(wanted, left)
        # A TERM without a cause on record is not ours (a shutdown of the machine, say): A's end will tell.
        if got is None or got.si_signo != signal.SIGTERM or not evidence.exists(self.folder, "cause.json"):
            return False
        return evidence.readable(self.folder, "result.json") is None  # else A has just ended by itself

    def _conclude(self, status):
        cause = (evidence.readable(self.folder, "cause.json") or {}).get("cause")
        record = {"rc": None, "signal": None, "by": "supervisor", "cause": cause, "at": time.time()}
        if status is not None and status.si_code == os.CLD_EXITED:
            record["rc"] = status.si_status
        elif status is not None:
            record["signal"] = status.si_status
        self._publish("result.json", record)
        result = evidence.readable(self.folder, "result.json")
        os.waitpid(self.ansible, 0)
        if result is None or result.get("signal") is not None or result.get("cause") is not None:
            self._terminate()

    def _publish(self, name, record):
        try:
            evidence.publish(self.folder, name, record)
        except OSError:
            pass  # folder gone or disk beyond its reserve: the worker's look finds the attempt `lost`

    def _terminate(self):
        """End all but us, however long it takes: while we live, nobody gets out of sight."""
        processes.end_all(self.attempt, self.plan["grace"], patience=None, but={os.getpid()}, pause=self._pause)

    def _pause(self, seconds):
        self._ansibles_end()
        signal.sigtimedwait({signal.SIGCHLD}, seconds)


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
        reason = "%d starts died before Ansible's first instruction" % number
        evidence.publish(folder, "claim.%d" % (number + 1), {"void": True, "cause": "launch", "reason": reason})
        return "void", number + 1
    return "free", number + 1


def _consume_token(folder):
    try:
        os.unlink(os.path.join(folder, "token"))
    except FileNotFoundError:
        pass  # an earlier claim consumed it


def _become_ansible(folder, plan, gate, report):
    """In A: wait for the claim, make `started` durable, and become Ansible. Never returns."""
    try:
        os.setsid()
        won = b""
        while not won.endswith(b"\n"):
            part = os.read(gate, 16)
            if not part:
                os._exit(0)  # the supervisor died or lost the claim: nothing ran
            won += part
        os.close(gate)
        _set_stage(folder, plan)
        record = {"claim": int(won), "at": time.time(), "monotonic_ns": time.monotonic_ns(), "pid": os.getpid()}
        if not evidence.publish(folder, "started", record):
            os._exit(0)
    except BaseException as error:
        os.write(report, ("%s: %s\n" % (type(error).__name__, error)).encode())
        os._exit(1)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(plan["argv"][0], plan["argv"])
    except BaseException as error:
        record = {"rc": None, "signal": None, "by": "ansible", "cause": None, "at": time.time(), "leftovers": []}
        evidence.publish(folder, "result.json", {**record, "launch": "%s: %s" % (plan["argv"][0], error)})
        os._exit(1)


def _set_stage(folder, plan):
    os.chdir(plan["cwd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(os.path.join(folder, "stdout.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    sys.stdout = sys.stderr = None
