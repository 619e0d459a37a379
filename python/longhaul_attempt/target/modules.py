"""Runs a module of Ansible: A becomes it, and what it answers is read from a file, whoever is left to do that."""

import ctypes
import errno
import json
import os

from .. import evidence, supervision
from ..output import Losses
from . import folders, inheritance, native, output, results

#: Room for an answer, set aside before the module starts.
RESERVED_BYTES = 64 * 1024
KEEP_SIZE = 1


class ModuleRun(supervision.Supervision):
    def __init__(self, folder, plan, launchers, call):
        super().__init__(folder, plan, launchers)
        self._call = call

    def claimants(self):
        return results.claimants(super().claimants(), self._call)

    def before_release(self):
        native.write(self.folder, self._call.job_id, native.running(self._call.job_id))

    def set_stage(self):
        for descriptor, name in ((1, "module.out"), (2, "module.err")):
            file = os.open(os.path.join(self.folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            os.dup2(file, descriptor)
            os.close(file)
        _reserve(1)

    def act(self, report):
        argv = [text.encode("utf-8", "surrogateescape") for text in self._call.argv]
        try:
            inheritance.restore_signals()
            os.execvp(argv[0], argv)
        except OSError as error:
            results.publish(self.folder, results.not_executed(self.folder, error.errno, argv[0], self.cause()))

    def put_on_record(self, record):
        results.publish(self.folder, record)

    def record(self, status):
        cause = self.cause()
        answer = read_answer(self.folder)
        own = {os.getpid(), self.ansible}
        is_cut = cause is not None or (answer is None and results.is_killed(status))
        left = [] if is_cut else results.leftovers(self.folder, self.plan, own)
        return of_module(self.folder, answer, status, cause, "supervisor", left)


def of_module(folder, answer, status, cause, by, leftovers):
    """result.json of a module that answered this, or nothing, and ended so."""
    if answer is None:
        record = results.of_status(status, cause)
        record["msg"] = record["msg"] or _said(folder)
        return {**results.base(folder, record, by, None, leftovers), "failed": True}
    losses = Losses()
    sizes = _keep_output(folder, answer, losses)
    storage = results.storage_of(losses.bytes, losses.reason)
    # An answer that is there whole says more than how the process ended, unless somebody ended it.
    record = results.of_status(status if cause is not None else None, cause)
    record = {**record, **_verdict(answer, record)}
    return {**results.base(folder, record, by, storage, leftovers), **sizes, **results.bounded(native.bounded(answer))}


def _verdict(answer, record):
    rc = answer.get("rc") if type(answer.get("rc")) is int else None
    failed = bool(answer.get("failed", rc not in (None, 0)))
    told = rc if rc is not None else int(failed)
    return {
        "rc": told if record["signal"] is None else None,
        "failed": failed or record["cause"] is not None,
        "changed": bool(answer.get("changed", False)),
        "msg": record["msg"] or _text(answer.get("msg")),
    }


def settle(folder, cause):
    """The verdict by the answer alone, for whoever finds it when neither the module nor its supervisor lives."""
    answer = read_answer(folder)
    if answer is None:
        return
    plan = folders.read_plan(folder)
    left = results.leftovers(folder, plan, set()) if plan is not None and cause is None else []
    results.publish(folder, of_module(folder, answer, None, cause, "look", left))


def read_answer(folder):
    """The object that the module printed, between lines that are none of it; None if it isn't there whole."""
    try:
        with open(os.path.join(folder, "module.out"), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    begins = next((at for at, line in enumerate(lines) if line.lstrip().startswith("{")), None)
    ends = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].rstrip().endswith("}")), None)
    if begins is None or ends is None:
        return None
    try:
        answer = json.loads("\n".join(lines[begins : ends + 1]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    junk = "\n".join(lines[ends + 1 :]).strip()
    if junk:
        warnings = answer.get("warnings", [])
        warnings = warnings if isinstance(warnings, list) else [warnings]
        answer["warnings"] = [*warnings, "Module invocation had junk after the JSON data: %s" % junk[: native.TAIL_BYTES]]
    stderr = native.tail(folder, "module.err")
    return {**answer, "stderr": stderr} if stderr else answer


def _keep_output(folder, answer, losses):
    """The size of what there was to keep, where what the disk doesn't take of it counts as no loss."""
    printed = output.of_answer(answer)
    for name, content in printed.items():
        rest = memoryview(content)
        try:
            # Over what an earlier try may have left.
            with open(os.path.join(folder, name), "wb", buffering=0) as file:
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError as error:
            if name in answer:  # else it is in the result as well
                losses.add(len(rest), error)
    return {"%s_bytes" % name: len(content) for name, content in printed.items() if name not in answer}


def _said(folder):
    """What a module without an answer left behind."""
    said = "\n".join(text for text in (native.tail(folder, "module.out"), native.tail(folder, "module.err")) if text)
    return "MODULE FAILURE: it ended without an answer. %s" % said[-2000:]


def _text(message):
    return message if message is None or isinstance(message, str) else json.dumps(message)


def _reserve(descriptor):
    """Blocks for the answer, where the file system can do that."""
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if fallocate is None:
        return
    size = ctypes.c_longlong(RESERVED_BYTES)
    if fallocate(descriptor, KEEP_SIZE, ctypes.c_longlong(0), size) != 0 and ctypes.get_errno() in evidence.OUT_OF_SPACE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
