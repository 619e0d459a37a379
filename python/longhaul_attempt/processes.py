"""Which processes belong to an attempt, and whether they live.

A process is known by pid, start time, boot id and pid namespace: a pid alone comes back for another process.
"""

import errno
import os
import select
import signal
import time

from . import evidence


def boot_id():
    """None where /proc can't be read."""
    return _text("/proc/sys/kernel/random/boot_id")


def machine_id():
    return _text("/etc/machine-id")


def pid_namespace():
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def identity(pid):
    """What tells this process from any other; ProcessLookupError if it is gone."""
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return {"pid": pid, "start": stat.start, "boot": boot_id(), "pidns": pid_namespace()}


def alive(known):
    """Whether the process of an identity lives; None where that can't be known from here."""
    if not isinstance(known, dict):
        return False
    here = boot_id()
    if here is None:
        return None
    if known.get("boot") != here:
        # Another boot of the same machine ended it; of another machine nothing is known here.
        return False if known.get("machine") in (None, machine_id()) else None
    if known.get("pidns") != pid_namespace():
        return None
    stat = _stat(known.get("pid"))
    if stat is None:
        return None if _is_hidden(known.get("pid")) else False
    return stat.start == known.get("start") and not stat.dead


def started_at(process):
    """When a process was started, in seconds since 1970; None where /proc doesn't tell how long this machine runs."""
    uptime = _text("/proc/uptime")
    if uptime is None:
        return None
    return time.time() - float(uptime.split()[0]) + process.start / os.sysconf("SC_CLK_TCK")


def hides_others():
    """Whether /proc is mounted with hidepid, and doesn't show us what others run."""
    return _text("/proc/1/stat") is None


def send(process, number):
    """Signal exactly this process, never one that got its pid afterwards. False if it is gone or may not be signalled."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError) as error:
        # Before Python 3.9 or Linux 5.3, or kept from us by a container's filter, which says EPERM.
        has_none = isinstance(error, AttributeError) or error.errno in (errno.ENOSYS, errno.EPERM)
        return has_none and _kill(process, number)
    try:
        if not _is_still(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except PermissionError:
        return _kill(process, number)  # a filter again; if not, it is refused this way too
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _is_still(process):
    stat = _stat(process.pid)
    return stat is not None and stat.start == process.start


def _kill(process, number):
    """The pid could come back for another one only within this line."""
    return _is_still(process) and _send_to(process.pid, number)


def _send_to(pid, number):
    """To whoever has this pid. False as `send`."""
    try:
        os.kill(pid, number)
        return True
    except OSError:
        return False


def _is_hidden(pid):
    """Whether /proc may not show a process that is there."""
    return hides_others() and not _is_no_process(pid)


def _is_no_process(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return _is_zombie(pid)


def _is_zombie(pid):
    """As may be asked of our child, and of anybody's process; of that it is False also before Python 3.9 or Linux 5.3."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError:
        pass  # not our child
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return False
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return bool(ended.poll(0))
    finally:
        os.close(descriptor)


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


class _Stat:
    def __init__(self, pid, fields):
        self.pid = pid
        self.state, self.parent, self.session, self.start = fields[0], int(fields[1]), int(fields[3]), int(fields[19])
        # Where main() was left by pthread_exit() the process is a zombie with other threads, which run.
        self.dead = self.state == b"X" or (self.state == b"Z" and int(fields[17]) <= 1)
        self.key = (pid, self.start)

    def describe(self):
        command = b" ".join(command_line(self.pid)).decode("utf-8", "replace").strip()
        return {"pid": self.pid, "command": command[:200] or "?"}


def _stat(pid):
    try:
        with open("/proc/%s/stat" % pid, "rb") as file:
            return _Stat(int(pid), file.read().rsplit(b")", 1)[1].split())
    except (OSError, IndexError, ValueError):
        return None


def owner(pid):
    """The effective user id of a process; None if it is gone."""
    try:
        return os.stat("/proc/%d" % pid).st_uid
    except OSError:
        return None


def command_line(pid):
    """The words of a process's command line, as far as they can be read."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


class Snapshot:
    """All living processes at one moment, by pid, and which of them carry which marker."""

    def __init__(self):
        stats = (_stat(name) for name in os.listdir("/proc") if name.isdigit())
        self.all = {stat.pid: stat for stat in stats if stat is not None and not stat.dead}
        self._carriers = None

    def carriers(self, marker):
        if self._carriers is None:
            self._carriers = self._by_marker()
        return self._carriers.get(marker, ())

    def descends(self, stat, roots):
        while stat is not None:
            if stat.pid in roots:
                return True
            stat = self.all.get(stat.parent)
        return False

    def _by_marker(self):
        carriers = {}
        for stat in self.all.values():
            for entry in environment(stat.pid if stat.state != b"Z" else _other_thread(stat.pid)):
                if entry.startswith(b"LONGHAUL_"):
                    carriers.setdefault(entry, set()).add(stat.pid)
        return carriers


def children(pid):
    """The pids of a process's children, zombies too; None where that can't be told."""
    try:
        listed = [_text("/proc/%d/task/%s/children" % (pid, thread)) for thread in os.listdir("/proc/%d/task" % pid)]
    except OSError:
        return None
    known = [text for text in listed if text is not None]
    return [int(child) for child in " ".join(known).split()] if known else None


def _other_thread(pid):
    """One by which a process can be read whose main thread has ended."""
    try:
        return next((int(thread) for thread in os.listdir("/proc/%d/task" % pid) if thread != str(pid)), pid)
    except OSError:
        return pid


def environment(pid):
    """The entries of a process's environment, as far as they can be read."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


class Attempt:
    """The processes of one attempt: whatever carries its marker, its sessions, and all their descendants.

    Who was seen once counts until its death, also when it cut its ties: a root-owned child of a killed task, say.
    """

    #: Where members are looked for; those who end many attempts at once share what they see.
    snapshot = Snapshot

    def __init__(self, marker, supervisor=None, ansible=None, command=None, seen=(), hidden=()):
        self.marker = marker.encode()
        self.supervisor = supervisor
        self.ansible = ansible
        self.command = command
        self._seen = set(seen)
        self._hidden = dict.fromkeys(hidden)

    @classmethod
    def read(cls, folder, marker):
        """From the evidence in a folder; by the marker alone where the folder is gone."""
        try:
            _, claim = evidence.last_claim(folder)
        except (FileNotFoundError, NotADirectoryError):
            claim = None
        claim = claim if isinstance(claim, dict) else {}
        left = evidence.readable(folder, "left.json") or {}
        left = left if left.get("boot") == boot_id() else {}
        seen = [tuple(key) for key in left.get("seen", ())]
        command = evidence.readable(folder, "command.json")
        return cls(marker, claim.get("supervisor"), claim.get("ansible"), command, seen, left.get("hidden", ()))

    def remember(self, folder, left):
        """Put on record who is left, for those who look after us."""
        seen = [process.key for process in left]
        evidence.note(folder, "left.json", {"boot": boot_id(), "seen": seen, "hidden": sorted(self._hidden)})

    def members(self, but=()):
        """Those alive, without the pids in `but`, oldest first. The caller itself never counts."""
        now = self.snapshot()
        on_record = [known for known in (self.supervisor, self.ansible, self.command) if known]
        roots = {known["pid"] for known in on_record if alive(known)}
        roots |= {stat.pid for stat in now.all.values() if stat.key in self._seen}
        roots |= set(now.carriers(self.marker))
        sessions = {known["pid"] for known in on_record if self._leads(known)}
        found = [
            stat
            for stat in now.all.values()
            if stat.pid not in but and stat.pid != os.getpid() and (now.descends(stat, roots) or stat.session in sessions)
        ]
        self._seen |= {stat.key for stat in found}
        return sorted(found, key=lambda stat: (stat.start, stat.pid))

    def hidden(self, parents, but=()):
        """{pid: its parent's} of their children that /proc doesn't show us where it hides what others run, by sudo say.

        These too count until their death: with None when no parent tells of them any more.
        """
        if not self._hidden and not hides_others():
            return {}
        told = {pid: parent for parent in parents for pid in children(parent) or () if pid not in but}
        pids = {*self._hidden, *told}
        self._hidden = {pid: told.get(pid) for pid in pids if _stat(pid) is None and not _is_no_process(pid)}
        return self._hidden

    @staticmethod
    def _leads(known):
        # Once its leader is reaped, a session's id comes back for another one's as a pid does; a zombie still holds it.
        if not known or known["boot"] != boot_id() or known["pidns"] != pid_namespace():
            return False
        stat = _stat(known["pid"])
        return stat is not None and stat.start == known["start"]


LOOK_SECONDS = 0.05
SLOW_LOOK_SECONDS = 1.0
VERIFY_SECONDS = 5.0


def end_all(attempt, grace, subreaper, folder, patience=VERIFY_SECONDS, but=(), pause=time.sleep):
    """TERM, and KILL after `grace` seconds, until none is left, or for `patience` seconds more (None: without end).

    The subreaper, a pid or None, is spared while others live: it keeps them findable. `folder`: where those are put on
    record first, for who goes on if we are killed; None if it is gone.
    Returns those that live on, and the pids of those that are hidden.
    """
    begun = time.monotonic()
    told = set()
    is_on_record = folder is None
    while True:
        left = attempt.members(but)
        pids = {process.pid for process in left}
        hidden = attempt.hidden(pids | {os.getpid()} if subreaper == os.getpid() else pids, but)
        passed = time.monotonic() - begun
        if not is_on_record and (left or hidden):
            attempt.remember(folder, left)
            is_on_record = True
        if not (left or hidden) or (patience is not None and passed >= grace + patience):
            return left, set(hidden)
        number = signal.SIGTERM if passed < grace else signal.SIGKILL
        kept = _witnesses(pids, hidden, subreaper)
        for process in left:
            if process.pid not in kept and (number == signal.SIGKILL or process.key not in told):
                send(process, number)
                told.add(process.key)
        for pid, parent in hidden.items():
            if parent is not None and (number == signal.SIGKILL or pid not in told):
                _send_to(pid, number)  # allowed where it has kept our real user id
                told.add(pid)
        pause(LOOK_SECONDS if passed < grace + VERIFY_SECONDS else SLOW_LOOK_SECONDS)


def _witnesses(pids, hidden, subreaper):
    """Who is spared for now: without a subreaper, only its parent tells of one that is hidden."""
    if subreaper == os.getpid():
        return ()
    if subreaper not in pids:
        return set(hidden.values())
    return {subreaper} if hidden or len(pids) > 1 else ()
