"""Async jobs that Ansible's own wrapper started, for somebody else: looked at, and ended only when that is asked for.

Nothing is written. What there is to go by: the job's file, the wrapper's processes, which have the job's number among
their arguments, their session, and ANSIBLE_ASYNC_DIR in the environment of all that descends from them.
"""

import os
import re
import signal
import time

from .. import processes
from . import folders, native, output, results

#: What Ansible's wrapper says when the `async` limit has passed.
TIMED_OUT = "Timeout exceeded"
FOLDER_MARK = b"ANSIBLE_ASYNC_DIR="
DEFAULT_FOLDER = "~/.ansible_async"
#: A job is named by the pid of the process that forked its wrapper; the session's leader came right after it.
PIDS_BETWEEN = 64
#: On a busy host others may come between; then nobody knows whose it is.
MOST_PIDS_BETWEEN = 256
#: Of two jobs that were started within this time nobody knows whose session came first.
LAUNCH_SECONDS = 5
#: Who is asked to end, in this order.
STARTED, MODULE, WRAPPER = range(3)
#: For so long a module may tell what became of what it had started, and the wrapper, which looks every 5 seconds and tidies up,
#: what became of the module; and for no more than these shares of the time that is left until KILL.
TELLING_SECONDS = 6
TELLING_SHARES = {MODULE: 0.4, WRAPPER: 0.9}
LARGEST_BYTES = 256 * 1024 * 1024


def look(job, scene):
    """As of an attempt, with what it `printed` once it has ended. When it started only its processes tell, while it has any."""
    path = _path(job)
    known = {"job_id": job["job_id"], "started_at": None}
    content = _read(path)
    if native.is_final(content):
        return _finished(path, content, known)
    members = _Members(job, scene.snapshot)
    found = members.now()
    if found:
        known["started_at"] = processes.started_at(found[0])
    if any(members.is_wrapper(process) for process in found):
        return {"state": "running", "supervised": True, "message": _missing(path) if content is None else None, **known}
    if found:
        message = "detached: its wrapper is gone, what it started runs on"
        return {"state": "running", "supervised": False, "message": message, **known}
    content = _read(path)
    if native.is_final(content):
        return _finished(path, content, known)
    if members.doubt:
        return {"state": "running", "unknown": True, "supervised": False, "message": members.doubt, **known}
    return {"state": "gone", **_why_gone(path, content), **known}


def end(job, grace, snapshot):
    """TERM to what the module started, so that module and wrapper tell how it ended; after `grace` seconds KILL to all."""
    path = _path(job)
    members = _Members(job, snapshot)
    until = time.monotonic() + float(grace)
    told = set()
    asked = MODULE
    spared_until = {}
    while True:
        found = members.now()
        now = time.monotonic()
        if not found or now >= until + processes.VERIFY_SECONDS:
            is_known = found or members.doubt is None or native.is_final(_read(path))
            return {"left": [process.describe() for process in found], "unknown": None if is_known else members.doubt}
        if now >= until:
            for process in found:
                processes.send(process, signal.SIGKILL)
        else:
            whose, those = members.to_ask(found, told)
            spared_until.setdefault(whose, now + min(TELLING_SECONDS, (until - now) * TELLING_SHARES.get(whose, 0)))
            if whose <= asked or now >= spared_until[whose]:
                asked = whose
                for process in those:
                    if process.key not in told:
                        processes.send(process, signal.SIGTERM)
                        told.add(process.key)
        time.sleep(processes.LOOK_SECONDS)


def _path(job):
    if not isinstance(job.get("job_id"), str) or not re.match(r"[\w.-]+\Z", job["job_id"]) or job["job_id"].startswith("."):
        raise folders.Refused("not an async job's id")
    return os.path.join(_folder(job), job["job_id"])


def _folder(job):
    return folders.expanded(job.get("async_dir") or DEFAULT_FOLDER)


def _read(path):
    """PermissionError where we may not: that says nothing about the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        is_too_large = os.fstat(descriptor).st_size > LARGEST_BYTES
    finally:
        os.close(descriptor)
    return "corrupt" if is_too_large else native.read(path)


def _finished(path, content, known):
    has_rc = type(content.get("rc")) is int
    failed = bool(content.get("failed", has_rc and content["rc"] != 0))
    status = content["rc"] if has_rc else int(failed)
    record = {
        "rc": None if status < 0 or native.is_unanswered(content) else status,
        "signal": -status if status < 0 else None,
        "cause": "timeout" if not has_rc and content.get("msg") == TIMED_OUT else None,
        "at": os.stat(path).st_mtime,
        "by": "native",
        "failed": failed,
        "changed": bool(content.get("changed", False)),
        "msg": content.get("msg") if isinstance(content.get("msg"), str) else None,
    }
    result = {**record, **results.bounded(native.bounded(content))}
    return {"state": "finished", "result": result, "printed": output.of_answer(content), **known}


def _missing(path):
    return "it runs, but there is no %s, so how it ends won't be known: is its async_dir another one?" % path


def _why_gone(path, content):
    if content is None:
        why = "could not find job: there is no %s (is its async_dir another one?), and nothing of it runs" % path
        return {"kind": "lost", "why": why}
    if content == "corrupt":
        return {"kind": "orphaned", "why": "its file %s can't be read, and nothing of it runs" % path}
    return {"kind": "orphaned", "why": "its file %s says that it runs, and nothing of it does" % path}


class _Members:
    """The processes of a job. Who was seen once counts until its death. `doubt`: why there may be more, if there may be."""

    def __init__(self, job, snapshot):
        self._job_id = job["job_id"]
        self._path = _path(job)
        self._number, _, launcher = job["job_id"].partition(".")
        self._launcher = int(launcher) if launcher.isdigit() else None
        self._folder = os.path.normpath(_folder(job))
        self._owners = _owners(self._path)
        self._snapshot = snapshot
        self._sessions = set()
        self._seen = set()
        self.doubt = None

    def now(self):
        snapshot = self._snapshot()
        self.doubt = None
        if self._owners != {os.geteuid()} and processes.hides_others():
            self.doubt = "unknown: /proc hides from us what the job's owner runs"
        wrappers = [stat for stat in snapshot.all.values() if self.is_wrapper(stat)]
        self._sessions |= {stat.session for stat in wrappers}
        roots = {stat.pid for stat in wrappers} | {stat.pid for stat in snapshot.all.values() if stat.key in self._seen}
        if not self._sessions:
            roots |= self._left_alone(snapshot)
        found = [
            stat
            for stat in snapshot.all.values()
            if stat.pid != os.getpid() and (stat.session in self._sessions or snapshot.descends(stat, roots))
        ]
        self._seen |= {stat.key for stat in found}
        return sorted(found, key=lambda stat: (stat.start, stat.pid))

    def is_wrapper(self, stat):
        if processes.owner(stat.pid) not in self._owners:
            return False
        words = processes.command_line(stat.pid)
        at = next((at for at, word in enumerate(words) if word.endswith(b"async_wrapper.py")), None)
        return at is not None and words[at + 1 : at + 2] == [self._number.encode()]

    def to_ask(self, found, told):
        """Which are to end next, and they: what the module started, while there is any of that; the module; the wrapper."""
        wrappers = {stat.pid for stat in found if self.is_wrapper(stat)}
        others = [stat for stat in found if stat.pid not in wrappers]
        started = [stat for stat in others if stat.parent not in wrappers]
        if not started:
            return (MODULE, others) if others else (WRAPPER, found)
        modules = {stat.pid for stat in others if stat.parent in wrappers}
        goes_on = told and any(stat.parent in modules and stat.key not in told for stat in started)
        return (MODULE, others) if goes_on else (STARTED, started)

    def _left_alone(self, snapshot):
        """What a dead wrapper started: in a session whose leader is gone and came right after the launcher."""
        if self._launcher is None:
            return set()
        sessions = {}
        for stat in snapshot.all.values():
            if 0 < stat.session - self._launcher <= MOST_PIDS_BETWEEN and stat.session not in snapshot.all:
                sessions.setdefault(stat.session, []).append(stat)
        left = {session: members for session, members in sessions.items() if self._are_left(members)}
        owned = {session: self._owns(session) for session in left}
        if None in owned.values():
            self.doubt = "unknown: what runs on may be of this job, or of another that was started at that time"
        return {stat.pid for session, members in left.items() if owned[session] for stat in members}

    def _are_left(self, members):
        """Whether they were left by a job of this folder."""
        if any(b"async_wrapper.py" in word for stat in members for word in processes.command_line(stat.pid)):
            return False  # another job's wrapper lives
        return any(self._folder in _folders_of(stat) for stat in members)

    def _owns(self, session):
        """Whether no other job's launcher came between ours and this session; None if that can't be told."""
        try:
            others = {path: os.stat(path).st_mtime for path in self._launched_before(session)}
            is_near = session - self._launcher <= PIDS_BETWEEN
            if not others:
                return is_near or None
            ours = _began(self._path)
            if ours is None:
                return None
            if all(written < ours - LAUNCH_SECONDS for written in others.values()):
                return is_near or None  # they are older: their pids came back
            return False if any((_began(path) or 0) > ours + LAUNCH_SECONDS for path in others) else None
        except OSError:
            return None

    def _launched_before(self, session):
        """The files of other jobs by whose launchers the session may be theirs rather than ours."""
        for name in os.listdir(self._folder):
            if folders.JOB_ID.match(name) and name != self._job_id and self._launcher <= int(name.partition(".")[2]) < session:
                yield os.path.join(self._folder, name)


def _began(path):
    """When a job was started, by its file; None once that says how it ended."""
    return None if native.is_final(_read(path)) else os.stat(path).st_mtime


def _owners(path):
    """Whose a job may be: ours, or of whoever has written its file. Anybody can run what looks like its wrapper."""
    try:
        return {os.geteuid(), os.stat(path).st_uid}
    except (FileNotFoundError, NotADirectoryError):
        return {os.geteuid()}


def _folders_of(stat):
    """What ANSIBLE_ASYNC_DIR means there. Ansible gives it as it was given, with a ~."""
    values = [word[len(FOLDER_MARK) :] for word in processes.environment(stat.pid) if word.startswith(FOLDER_MARK)]
    return [os.path.normpath(folders.expanded(os.fsdecode(value))) for value in values]
