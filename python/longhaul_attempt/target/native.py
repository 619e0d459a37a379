"""Ansible's own file of an async job, kept true: what async_status with our folder as async_dir tells."""

import datetime
import errno
import os

from .. import evidence

TAIL_BYTES = 64 * 1024
KEYS_WHILE_RUNNING = {"started", "finished", "ansible_job_id", "results_file"}


def running(job_id):
    return {"started": True, "finished": False, "ansible_job_id": job_id}


def read(path):
    """The content of such a file; None without one, "corrupt" if it is none."""
    return evidence.read(*os.path.split(path))


def is_final(content):
    return isinstance(content, dict) and not set(content) <= KEYS_WHILE_RUNNING


def is_unanswered(content):
    """Whether Ansible's wrapper says that the module ended without an answer: then it has what that printed instead."""
    is_its_own = {"cmd", "ansible_job_id"} <= set(content) and not {"data", "outdata"}.isdisjoint(content)
    return is_its_own and bool(content.get("failed")) and "rc" not in content


def write(folder, job_id, content):
    """What can't be written is missing from async_status alone."""
    for record in (content, {**content, "stdout": "", "stderr": ""}):
        try:
            evidence.replace(folder, job_id, record)
            return
        except OSError as error:
            if error.errno not in (*evidence.OUT_OF_SPACE, errno.ENOENT, errno.ENOTDIR):
                raise


def settle(folder, plan, job_id):
    """Tell async_status what the records tell, unless it knows."""
    if job_id is None or is_final(read(os.path.join(folder, job_id))):
        return
    result = evidence.readable(folder, "result.json")
    if result is None:
        _, claim = evidence.last_claim(folder)
        reason = claim.get("reason") if evidence.is_void(claim) else "its start died before its first instruction"
        write(folder, job_id, {"failed": True, "msg": "Not started: %s" % reason})
    elif plan.get("argv") is None and plan.get("shell") is None:
        write(folder, job_id, of_module(result))
    else:
        write(folder, job_id, of_command(folder, plan, result))


def of_module(result):
    """What the module answered, or why there is no answer."""
    failure = {"failed": True, "msg": result.get("msg") or "it was ended"}
    module = result.get("module")
    return {**failure, "rc": rc_of(result)} if module is None else bounded(module)


def of_command(folder, plan, result):
    """What Ansible's own command module would have answered."""
    started = evidence.readable(folder, "started") or {}
    start = datetime.datetime.fromtimestamp(started.get("at", result["at"]))
    end = datetime.datetime.fromtimestamp(result["at"])
    content = {
        "changed": True,
        "cmd": plan["argv"] if plan.get("shell") is None else plan["shell"],
        "rc": rc_of(result),
        "stdout": tail(folder, "stdout"),
        "stderr": tail(folder, "stderr"),
        "start": str(start),
        "end": str(end),
        "delta": str(end - start),
    }
    return {**content, "failed": True, "msg": result.get("msg")} if result.get("failed", True) else content


def rc_of(result):
    """Ansible tells a signal by a negative rc."""
    return -result["signal"] if result.get("signal") is not None else result.get("rc")


def tail(folder, name):
    """The end of a file, as text; Ansible cuts a last line end off too."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode("utf-8", "replace").rstrip("\r\n")
    except OSError:
        return ""


def bounded(module):
    """A module's result with the end of its output only."""
    texts = {name: module[name] for name in ("stdout", "stderr") if isinstance(module.get(name), str)}
    lines = {name: None for name in ("stdout_lines", "stderr_lines") if name in module}
    cut = {name: text[-TAIL_BYTES:] for name, text in texts.items()}
    return {name: value for name, value in {**module, **cut}.items() if name not in lines}
