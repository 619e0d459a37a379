"""Which processes belong to an attempt, and whether they live.

A process is known by pid, start time, boot id and pid namespace: a pid alone comes back for another process.
"""

import os
import signal
import time

from longhaul_attempt import evidence


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def pid_namespace():
    return os.readlink("/proc/self/ns/pid")


def identity(pid):
    """What tells this process from any other; ProcessLookupError if it is gone."""
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return {"pid": pid, "start": stat.start, "boot": boot_id(), "pidns": pid_namespace()}


def alive(known):
    """Whether the process of an identity lives; None where that can't be known from here."""
    if not isinstance(known, dict) or known.get("boot") != boot_id():
        return False
    if known.get("pidns") != pid_namespace():
        return None
    stat = _stat(known.get("pid"))
    return stat is not None and stat.start == known.get("start") and not stat.dead


def send(process, number):
    """Signal exactly this process, never one that got its pid afterwards. False if it is gone or may not be signalled."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        stat = _stat(process.pid)
        if stat is None or stat.start != process.start:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


class _Stat:
    def __init__(self, pid, fields):
        self.pid = pid
        self.state, self.parent, self.session, self.start = fields[0], int(fields[1]), int(fields[3]), int(fields[19])
        self.dead = self.state in (b"Z", b"X")

        self.key = (pid, self.start)

    def describe(self):
        return {"pid": self.pid, "command": _command(self.pid)}


def _stat(pid):
    try:
        with open("/proc/%s/stat" % pid, "rb") as file:
            return _Stat(int(pid), file.read().rsplit(b")", 1)[1].split())
    except (OSError, IndexError, ValueError):
        return None


def _command(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read(300).replace(b"\0", b" ").decode("utf-8", "replace").strip()[:200]
    except OSError:
        return "?"


class Attempt:
    """The processes of one attempt: whatever carries its marker, its sessions, and all their descendants.

    Who was seen once counts until its death, also when it cut its ties: a root-owned child of a killed task, say.
    """

    def __init__(self, marker, supervisor=None, ansible=None, seen=()):
        self.marker = marker.encode()
        self.supervisor = supervisor
        self.ansible = ansible
        self._seen = set(seen)

    @classmethod
    def read(cls, folder, marker):
        """From the evidence in a folder; by the marker alone where the folder is gone."""
        try:
            _, claim = evidence.last_claim(folder)
        except (FileNotFoundError, NotADirectoryError):
            claim = None
        claim = claim if isinstance(claim, dict) else {}
        left = evidence.readable(folder, "left.json") or {}
        seen = [tuple(key) for key in left.get("seen", ()) if left.get("boot") == boot_id()]
        return cls(marker, claim.get("supervisor"), claim.get("ansible"), seen)

    def remember(self, folder, left):
        """Put on record who is left, for those who look after us."""
        evidence.note(folder, "left.json", {"boot": boot_id(), "seen": [process.key for process in left]})

    def members(self, but=()):
        """Those alive, without the pids in `but`, oldest first. The caller itself never counts."""
        all_of_them = {}
        for name in os.listdir("/proc"):
            stat = _stat(name) if name.isdigit() else None
            if stat is not None and not stat.dead:
                all_of_them[stat.pid] = stat
        roots = {known["pid"] for known in (self.supervisor, self.ansible) if known and alive(known)}
        roots |= {stat.pid for stat in all_of_them.values() if stat.key in self._seen or self._marked(stat.pid)}
        sessions = {known["pid"] for known in (self.supervisor, self.ansible) if self._leads(known)}
        found = [
            stat
            for stat in all_of_them.values()
            if stat.pid not in but
            and stat.pid != os.getpid()
            and (self._descends(stat, roots, all_of_them) or stat.session in sessions)
        ]
        self._seen |= {stat.key for stat in found}
        return sorted(found, key=lambda stat: (stat.start, stat.pid))

    @staticmethod
    def _leads(known):
        # Once its leader is reaped, a session's id comes back for another one's as a pid does; a zombie still holds it.
        if not known or known["boot"] != boot_id() or known["pidns"] != pid_namespace():
            return False
        stat = _stat(known["pid"])
        return stat is not None and stat.start == known["start"]

    @staticmethod
    def _descends(stat, roots, all_of_them):
        while stat is not None:
            if stat.pid in roots:
                return True
            stat = all_of_them.get(stat.parent)
        return False

    def _marked(self, pid):
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                return self.marker in file.read().split(b"\0")
        except OSError:
            return False


LOOK_SECONDS = 0.05
SLOW_LOOK_SECONDS = 1.0
VERIFY_SECONDS = 5.0


def end_all(attempt, grace, patience=VERIFY_SECONDS, but=(), last=None, pause=time.sleep):
    """TERM, and KILL after `grace` seconds, until none is left, or for `patience` seconds more (None: without end).

    The process with the pid `last` is spared while others live: as their subreaper it keeps them findable.
    Returns those that live on.
    """
    begun = time.monotonic()
    told = set()
    while True:
        left = attempt.members(but)
        passed = time.monotonic() - begun
        if not left or (patience is not None and passed >= grace + patience):
            return left
        number = signal.SIGTERM if passed < grace else signal.SIGKILL
        for process in [process for process in left if process.pid != last] or left:
            if number == signal.SIGKILL or process.key not in told:
                send(process, number)
                told.add(process.key)
        pause(LOOK_SECONDS if passed < grace + VERIFY_SECONDS else SLOW_LOOK_SECONDS)
