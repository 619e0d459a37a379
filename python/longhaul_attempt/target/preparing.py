"""Makes attempt folders, whole or not at all. What is made here may be started, once; nothing else ever is."""

import os
import secrets
import shutil
import stat
import time

from .. import evidence, processes
from . import expiry, folders

#: Room for each record that a full disk must not keep from being written; none of them is larger.
SPARES = 8
SPARE_BYTES = 4096


def prepare(jobs, base=None):
    """A folder for each job, or the one that is there: {boot, jobs: [{dir, token, boot, machine} | {error: {kind, msg}}]}."""
    where = folders.base_folder(base)
    boot = processes.boot_id()
    try:
        _make_base(where)
        expiry.purge(where)
    except (OSError, folders.Refused) as error:
        return {"boot": boot, "jobs": [_failure(error) for _ in jobs]}
    return {"boot": boot, "jobs": [_prepared(job, where, boot) for job in jobs]}


def _prepared(job, where, boot):
    try:
        folder = os.path.join(where, _checked_id(job))
        if not folders.is_there(folder):
            _make(folder, _plan(job, boot))
        plan = folders.read_plan(folder)
        if plan is None:
            raise folders.Refused("%s is there, and its plan can't be read" % folder)
        return {"dir": folder, "token": plan["token"], "boot": plan["boot"], "machine": processes.machine_id()}
    except (OSError, folders.Refused) as error:
        return _failure(error)


def _checked_id(job):
    if not isinstance(job.get("id"), str) or not folders.ID.match(job["id"]):
        raise folders.Refused("an attempt's id is 32 hexadecimal digits")
    if job.get("marker") != folders.marker_of(job["id"]):
        raise folders.Refused("an attempt's marker is %s" % folders.marker_of(job["id"]))
    if not isinstance(job.get("token"), str) or not job["token"]:
        raise folders.Refused("an attempt has a token")
    _check_command(job)
    for name in ("timeout", "grace", "kept"):
        is_number = isinstance(job.get(name), (int, float)) and not isinstance(job.get(name), bool)
        if not (is_number and job[name] >= 0) and not (name == "timeout" and job.get(name) is None):
            raise folders.Refused("%s is a number of seconds" % name)
    return job["id"]


def _check_command(job):
    argv, shell, chdir = job.get("argv"), job.get("shell"), job.get("chdir")
    if argv is not None and shell is not None:
        raise folders.Refused("either argv or shell")
    if argv is not None and not (isinstance(argv, list) and argv):
        raise folders.Refused("argv is a list that begins with a program")
    for text in [*(argv or []), *([] if shell is None else [shell]), *([] if chdir is None else [chdir])]:
        if not isinstance(text, str) or "\0" in text:
            raise folders.Refused("a command is text without NUL")
        if not _is_encodable(text):
            raise folders.Refused("a command is text that can be encoded")


def _is_encodable(text):
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _plan(job, boot):
    asked = ("id", "marker", "token", "host", "run_id", "attempt", "argv", "shell", "chdir", "timeout", "grace", "kept")
    known = {"boot": boot, "pidns": processes.pid_namespace(), "machine": processes.machine_id(), "made_at": time.time()}
    return {**{name: job.get(name) for name in asked}, **known}


def _make_base(where):
    if not os.path.isabs(where):
        raise folders.Refused("%s is no absolute path" % where)
    os.makedirs(where, mode=0o700, exist_ok=True)
    found = os.stat(where)  # longhaul_agent/on_host.py asks the same: it is sent alone, before any of this is loaded
    others_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.geteuid()) or others_write:
        raise folders.Refused("%s belongs to others, or others may write there" % where)


def _make(folder, plan):
    """Under its name it is there with all that belongs to it; who comes second finds the first one's."""
    aside = "%s/.new.%s.%s" % (os.path.dirname(folder), plan["id"], secrets.token_hex(8))
    os.mkdir(aside, 0o700)
    try:
        evidence.publish(aside, "plan.json", plan)
        _write(aside, "token", plan["token"].encode(), os.fsync)
        for name in ("stdout", "stderr"):
            _write(aside, name, b"")
        for number in range(SPARES):
            _write(aside, ".spare.%d" % (number + 1), bytes(SPARE_BYTES))
        evidence.sync_folder(aside)
        os.rename(aside, folder)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if not os.path.isdir(folder):
            raise
    evidence.sync_folder(os.path.dirname(folder))


def _write(folder, name, content, then=lambda descriptor: None):
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        then(descriptor)
    finally:
        os.close(descriptor)


def _failure(error):
    kind = "storage" if getattr(error, "errno", None) in evidence.OUT_OF_SPACE else "launch"
    return {"error": {"kind": kind, "msg": str(error)}}
