"""The supervisor S at work, whatever it is that it starts.

S forks A, which waits at a gate; S takes a numbered claim that names both; A then makes `started` durable and does
what was asked. S keeps the time limit, ends what is left, and puts on record what A can't say (a signal).
"""

import ctypes
import os
import signal
import time
import traceback

from . import claims, evidence, processes

PR_SET_CHILD_SUBREAPER = 36


def detach(supervise):
    """Call supervise(launchers) in a process that is nobody's child and becomes the parent of what loses its own.

    launchers: the processes that led to it, and may not be gone yet.
    """
    launchers = [*_known(os.getppid()), *_known(os.getpid())]
    if os.fork() == 0:
        try:
            os.setsid()
            launchers += _known(os.getpid())
            if os.fork() == 0:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP})
                supervise(launchers)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.wait()


def _known(pid):
    try:
        return [processes.identity(pid)]
    except ProcessLookupError:
        return []  # of another pid namespace, or hidden


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


class Supervision:
    """What a kind of attempt adds: act and set_stage, which A runs, and record."""

    def __init__(self, folder, plan, launchers):
        self.folder = folder
        self.plan = plan
        self.launchers = launchers  # they carry the marker too
        self.ansible = 0
        self.number = 0
        self.attempt = None

    def set_stage(self):
        """In A, before `started`: an error here means that it was not started."""

    def act(self, report):
        """In A, after `started`: its first instruction. Never returns."""
        raise NotImplementedError

    def record(self, status):
        """result.json, as S knows it from A's wait status."""
        raise NotImplementedError

    def claimants(self):
        """What a claim says besides its time."""
        return {"supervisor": processes.identity(os.getpid()), "ansible": processes.identity(self.ansible)}

    def before_release(self):
        """In S, when the claim is taken and A still waits."""

    def claim(self, token):
        """Fork A, take the next claim in both names, and release A if it was won."""
        gate_read, gate_write = os.pipe()
        self.report, report_write = os.pipe()
        self.ansible = os.fork()
        if self.ansible == 0:
            os.close(gate_write)
            os.close(self.report)
            self._become_ansible(gate_read, report_write)
        os.close(gate_read)
        os.close(report_write)
        claimants = self.claimants()
        self.attempt = processes.Attempt(self.plan["marker"], claimants["supervisor"], claimants["ansible"])
        own = {os.getpid(), self.ansible, *(known["pid"] for known in self.launchers)}
        state, self.number = claims.take(self.folder, self.plan["marker"], token, claimants, own)
        if state == "taken":
            self.before_release()
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

    def _become_ansible(self, gate, report):
        """In A: wait for the claim, make `started` durable, and act. Never returns."""
        try:
            os.setsid()
            number = _pass(gate)
            self.set_stage()
            record = {"claim": number, "at": time.time(), "monotonic_ns": time.monotonic_ns(), "pid": os.getpid()}
            if not evidence.publish(self.folder, "started", record):
                os._exit(0)
        except BaseException as error:
            os.write(report, ("%s: %s\n" % (type(error).__name__, error)).encode())
            os._exit(1)
        try:
            self.act(report)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def watch(self):
        """Wait for the end; end it on request or at its time limit; put on record what A could not."""
        refusal = self.await_start()
        if refusal is not None:
            record = {"void": True, "cause": "launch", "reason": refusal, "at": time.time()}
            evidence.publish(self.folder, "claim.%d" % (self.number + 1), record)
            os.waitpid(self.ansible, 0)
            return
        started = evidence.read(self.folder, "started")
        if not self._began(started):
            os.waitpid(self.ansible, 0)  # A died before its first instruction: the next claim may be taken
            return
        deadline = self._deadline(started)
        status = None
        while status is None:
            status = self.end()
            if status is None and self._told_to_end(deadline):
                self.terminate()
                status = self.end()
        self._conclude(status)

    def await_start(self):
        """Why A can't start, as it reports; None when its end of the pipe closes: by its exec, or by its death."""
        with open(self.report, "rb") as report:
            line = report.readline().decode("utf-8", "replace")
        return line.strip() or None

    def _began(self, started):
        if not isinstance(started, dict):
            return started == "corrupt"
        return (started.get("claim"), started.get("pid")) == (self.number, self.ansible)

    def _deadline(self, started):
        timeout = self.plan.get("timeout")
        if timeout is None:
            return None
        begun = started["monotonic_ns"] / 1e9 if isinstance(started, dict) else time.monotonic()
        return begun + timeout

    def end(self):
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
            self.reap(ended)

    def reap(self, ended):
        """Another child than A has ended."""
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
        if evidence.readable(self.folder, "result.json") is None:
            self.put_on_record(self.record(status))
        result = evidence.readable(self.folder, "result.json")
        self.let_go()
        if result is None or result.get("signal") is not None or result.get("cause") is not None:
            self.terminate()

    def put_on_record(self, record):
        self._publish("result.json", record)

    def let_go(self):
        """A has ended, and how is on record."""
        os.waitpid(self.ansible, 0)

    def cause(self):
        """Why it was ended from outside, if it was."""
        return (evidence.readable(self.folder, "cause.json") or {}).get("cause")

    def _publish(self, name, record):
        try:
            evidence.publish(self.folder, name, record)
        except OSError:
            pass  # folder gone or disk beyond its reserve: who looks finds that nothing runs

    def terminate(self):
        """End all but us, however long it takes: while we live, nobody gets out of sight."""
        spared = self.spared()
        grace = self.plan["grace"]
        processes.end_all(self.attempt, grace, os.getpid(), self.folder, patience=None, but=spared, pause=self._pause)

    def spared(self):
        """Us, and those who are still to tell the caller that we began."""
        return {os.getpid(), *(known["pid"] for known in self.launchers if processes.alive(known))}

    def _pause(self, seconds):
        self.end()
        signal.sigtimedwait({signal.SIGCHLD}, seconds)


def _pass(gate):
    """Wait at the gate; the number of the claim that opened it."""
    won = b""
    while not won.endswith(b"\n"):
        part = os.read(gate, 16)
        if not part:
            os._exit(0)  # the supervisor died or lost the claim: nothing ran
        won += part
    os.close(gate)
    return int(won)
