"""The state document: what is recorded of a job."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from .keys import InvalidName, JobKey

FORMAT = 1
RESERVED = "reserved"
RUNNING = "running"
FINAL = ("successful", "failed", "lost", "canceled")
STATES = (RESERVED, RUNNING, *FINAL)
JOB_ID = re.compile(r"j?\d+\.\d+\Z")
TOKEN = re.compile(r"[0-9a-f]{32}\Z")
FIELDS = (
    *("version", "revision", "host", "playbook_name", "job_name", "state"),
    *("ansible_job_id", "async_dir", "metadata", "reservation", "saved_at", "saved_by"),
)


class UnreadableDocument(Exception):
    """Something is recorded that can't be understood. It is never taken for nothing: a job would be started again."""


def job_document(
    key: JobKey, ansible_job_id: str, async_dir: str, state: str, metadata: dict, reservation: dict | None
) -> dict[str, Any]:
    """What is recorded of a job that was started."""
    about = {"state": state, "ansible_job_id": ansible_job_id, "async_dir": async_dir}
    return {**_head(key), **about, "metadata": metadata, "reservation": reservation}


def reservation_document(key: JobKey, token: str, async_dir: str, seconds: float, metadata: dict) -> dict[str, Any]:
    """What is recorded of a job that is about to be started by the holder of `token`, in `async_dir`."""
    head = _head(key)
    expires = parse_time(head["saved_at"]) + timedelta(seconds=seconds)
    about = {"state": RESERVED, "ansible_job_id": None, "async_dir": async_dir, "metadata": metadata}
    return {**head, **about, "reservation": {"token": token, "expires_at": format_time(expires)}}


def _head(key: JobKey) -> dict[str, Any]:
    # `revision` tells this writing from all others, also from a second try of an identical one.
    return {
        "version": FORMAT,
        "revision": uuid.uuid4().hex,
        **key._asdict(),
        "saved_at": format_time(datetime.now(timezone.utc)),
        "saved_by": "%s@%s" % (_user(), socket.gethostname()),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        return str(os.getuid())


def key_of(document: dict[str, Any]) -> JobKey:
    return JobKey(document["host"], document["playbook_name"], document["job_name"])


def token_of(document: dict[str, Any]) -> str | None:
    return (document["reservation"] or {}).get("token")


def has_expired(document: dict[str, Any]) -> bool:
    """Whether a reservation's holder has had the time it asked for."""
    return parse_time(document["reservation"]["expires_at"]) <= datetime.now(timezone.utc)


def age_of(document: dict[str, Any]) -> float:
    """Seconds since it was recorded."""
    return (datetime.now(timezone.utc) - parse_time(document["saved_at"])).total_seconds()


def serialize(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def parse(content: bytes, where: str) -> dict[str, Any]:
    """Reads the document of that path. @raises UnreadableDocument"""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument("%s is not JSON: %s" % (where, error)) from error
    if not isinstance(document, dict) or document.get("version") != FORMAT:
        raise UnreadableDocument("%s is not a state document of version %d" % (where, FORMAT))
    missing = [field for field in FIELDS if field not in document]
    if missing:
        raise UnreadableDocument("%s lacks %s" % (where, ", ".join(missing)))
    checked(document, where)
    if not _is_at(document, where):
        message = "%s is the document of %r: it was copied, or the storage does not tell upper from lower case"
        raise UnreadableDocument(message % (where, str(key_of(document))))
    return document


def _is_at(document: dict[str, Any], path: str) -> bool:
    try:
        return key_of(document).path == path
    except (TypeError, ValueError, InvalidName):
        return False


def checked(document: dict[str, Any], where: str) -> dict[str, Any]:
    """
    Whoever can write to the storage should not have files removed on hosts: a clean-up makes paths of ids and tokens. And one
    document that makes no sense should not keep all others from being listed.
    @raises UnreadableDocument
    """
    job_id, reservation = document["ansible_job_id"], document["reservation"]
    if job_id is not None and not is_job_id(job_id):
        raise UnreadableDocument("%s has no ansible_job_id, but %r" % (where, job_id))
    if reservation is not None and not (isinstance(reservation, dict) and is_token(reservation.get("token"))):
        raise UnreadableDocument("%s has no reservation, but %r" % (where, reservation))
    times = {"saved_at": document["saved_at"]}
    if document["state"] == RESERVED:
        times["expires_at"] = (reservation or {}).get("expires_at")
    for name, time in times.items():
        if not is_time(time):
            raise UnreadableDocument("%s has no %s, but %r" % (where, name, time))
    return document


def is_job_id(text: Any) -> bool:
    return isinstance(text, str) and JOB_ID.match(text) is not None


def is_token(text: Any) -> bool:
    return isinstance(text, str) and TOKEN.match(text) is not None


def is_time(text: Any) -> bool:
    try:
        return parse_time(text) is not None
    except (TypeError, ValueError):
        return False


def format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
