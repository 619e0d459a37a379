"""The files of an attempt folder: written durably, each by its first writer, also on a full disk.

attempt.json    what is to be started: argv, cwd, marker, timeout (made by the worker, never changed)
token           consumed by the first claim; without it and without a claim nothing is ever started
claim.1, .2 ... who may start it, or that nobody may (void); only the last one counts
started         the last step before Ansible's first instruction
cause.json      why it was ended from outside, written before the first signal
result.json     how it ended
left.json       what is being ended, or could not be, to be known again when it has cut its ties
.spare.1, .2    space reserved for the records above
"""

import errno
import json
import os
import time
from contextlib import suppress

#: Why an attempt can be ended from outside.
CAUSES = ("cancel", "terminated", "timeout")
OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
#: What makes a record unreadable for good. Any other error may pass, and says nothing about the record.
UNREADABLE = (errno.EISDIR, errno.EIO, errno.EACCES, errno.ELOOP)


def read(folder, name):
    """The record in folder/name; None if there is none; "corrupt" if it can't be read as one."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            record = json.loads(file.read().decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return "corrupt"
    except (ValueError, RecursionError):
        return "corrupt"
    return record if isinstance(record, dict) and _fits(name, record) else "corrupt"


def readable(folder, name):
    """The record in folder/name, or None where there is none that can be read."""
    record = read(folder, name)
    return record if isinstance(record, dict) else None


def exists(folder, name):
    return os.path.lexists(os.path.join(folder, name))


def publish(folder, name, record):
    """Write record to folder/name durably, unless a readable one is there: the first writer wins.

    Returns whether this call wrote it. Uses reserved space when the disk is full. Raises OSError if it
    can't be written.
    """
    if readable(folder, name) is not None:
        return False  # known without using up reserved space
    written = _write_aside(folder, name, _bytes_of(record))
    target = os.path.join(folder, name)
    try:
        os.link(written, target)
        won = True
    except FileExistsError:
        won = read(folder, name) == "corrupt"
        if won:
            if os.path.isdir(target):
                os.rename(target, written + ".corrupt")
            os.replace(written, target)
    if os.path.lexists(written):
        os.unlink(written)
    sync_folder(folder)
    return won


def note(folder, name, record):
    """Write record to folder/name, over what is there. Not evidence: it is lost where it can't be written."""
    path = os.path.join(folder, name)
    written = "%s.%d" % (path, os.getpid())
    try:
        with open(written, "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.replace(written, path)
    except OSError:
        with suppress(OSError):
            os.unlink(written)


def replace(folder, name, record):
    """Write record to folder/name over what is there: whole or not at all, also on a full disk. The last writer wins."""
    os.replace(_write_aside(folder, name, _bytes_of(record)), os.path.join(folder, name))


def sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_claim(folder):
    """(number, record) of the claim that counts; (0, None) if there is none; the record may be "corrupt"."""
    numbers = [int(name[6:]) for name in os.listdir(folder) if name.startswith("claim.") and name[6:].isdigit()]
    number = max(numbers, default=0)
    return number, read(folder, "claim.%d" % number) if number else None


def is_void(claim):
    return isinstance(claim, dict) and claim.get("void") is True


def _fits(name, record):
    """Whether what a verdict rests on is there. src/ansible/records.ts asks for the same: both must read alike."""
    if name.startswith("claim."):
        names = (record.get("supervisor"), record.get("ansible"))
        return record.get("void") is True or (record.get("void") is False and all(map(_is_identity, names)))
    if name == "cause.json":
        return record.get("cause") in CAUSES
    if name == "result.json":
        numbers = (record.get("rc", ""), record.get("signal", ""))
        known = all(number is None or _is_whole(number) for number in numbers) and "cause" in record
        return known and record["cause"] in (None, *CAUSES) and _is_time(record.get("at"))
    return True


def _is_identity(known):
    if not isinstance(known, dict) or not (_is_whole(known.get("pid")) and _is_whole(known.get("start"))):
        return False
    return known["pid"] > 0 and isinstance(known.get("boot"), str) and isinstance(known.get("pidns"), str)


def _is_whole(number):
    return type(number) is int and abs(number) < 2**53


def _is_time(number):
    return type(number) in (int, float) and 0 <= number <= 8.64e12


def _bytes_of(record):
    return json.dumps(record).encode()


def _write_aside(folder, name, content):
    path = os.path.join(folder, ".%s.%d.%x" % (name, os.getpid(), time.monotonic_ns()))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write_all(descriptor, content)
        finally:
            os.close(descriptor)
        return path
    except OSError as error:
        if os.path.lexists(path):
            os.unlink(path)
        if error.errno not in OUT_OF_SPACE:
            raise
        return _write_to_spare(folder, path, content, error)


def _write_to_spare(folder, path, content, error):
    for spare in sorted(name for name in os.listdir(folder) if name.startswith(".spare.")):
        try:
            if os.stat(os.path.join(folder, spare)).st_size < len(content):
                continue
            os.rename(os.path.join(folder, spare), path)
        except FileNotFoundError:
            continue
        descriptor = os.open(path, os.O_WRONLY)
        try:
            _write_all(descriptor, content)
            os.ftruncate(descriptor, len(content))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path
    raise error


def _write_all(descriptor, content):
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)
