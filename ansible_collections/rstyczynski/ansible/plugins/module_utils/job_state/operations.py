"""What the roles do with a job's state document."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from .document import RESERVED, RUNNING, UnreadableDocument, age_of, job_document, reservation_document, token_of
from .keys import JobKey
from .storage import Storage, StorageError, Stored

# Each time somebody else has to have written in between.
ATTEMPTS = 20


class Refused(Exception):
    """Somebody else's document is in the way. The message says whose, and what can be done."""


class Wish(NamedTuple):
    """A start that is to be reserved."""

    async_dir: str
    seconds: float
    metadata: dict[str, Any]
    # The finished job whose document may be replaced.
    former_job_id: str | None = None
    # The reservation that may be replaced, because its job can't be started any more.
    void_token: str | None = None


class Reservation(NamedTuple):
    """`token` if this controller may start the job now; else None, and the document that stands in the way."""

    token: str | None
    document: dict[str, Any]


class Job(NamedTuple):
    """A job that was started, as it is to be recorded. Without `metadata` or `async_dir` it keeps what it has."""

    ansible_job_id: str
    async_dir: str | None
    state: str
    metadata: dict[str, Any] | None
    # Of a job of which none is given or recorded.
    default_async_dir: str = "~/.ansible_async"


def reserve(storage: Storage, key: JobKey, wish: Wish) -> Reservation:
    """Reserves the start of a job, in a folder of its own below `async_dir`. Of several controllers at once one succeeds."""
    _require_reservations(storage)
    token = uuid.uuid4().hex
    folder = "%s/%s" % (wish.async_dir.rstrip("/"), token)
    ours = reservation_document(key, token, folder, wish.seconds, wish.metadata)
    for _attempt in range(ATTEMPTS):
        found = storage.get(key)
        if found is None:
            reserved = storage.create(key, ours)
        elif gives_way(found.document, wish):
            reserved = storage.replace(key, ours, found.version)
        else:
            return Reservation(None, found.document)
        if reserved:
            return Reservation(token, ours)
    raise _contended(key)


def save(storage: Storage, key: JobKey, job: Job, token: str | None) -> tuple[dict[str, Any], bool]:
    """
    Records a job that was started; what was recorded of an earlier one is replaced.
    @param token of the reservation that it was started with
    @returns the document, and whether it was written; it may have been there
    @raises Refused where another reservation is recorded, or another job with one, and where it is the end of another job
    """
    for _attempt in range(ATTEMPTS):
        found = storage.get(key)
        before = None if found is None else found.document
        document = _document_of(key, job, before, token)
        if found is None:
            saved = storage.create(key, document)
        elif _is_recorded(storage, found.document, document):
            return found.document, False
        else:
            _require_ours(key, found.document, job, token)
            saved = storage.replace(key, document, found.version)
        if saved:
            return document, True
    raise _contended(key)


def recover(storage: Storage, key: JobKey, ansible_job_id: str, async_dir: str, token: str) -> bool:
    """Records a job that was started under a reservation whose holder has not saved it, and may never. Whether it did."""
    found = storage.get(key)
    if found is None or found.document["state"] != RESERVED or token_of(found.document) != token:
        return False
    document = job_document(key, ansible_job_id, async_dir, RUNNING, found.document["metadata"], {"token": token})
    return storage.replace(key, document, found.version)


def remove(storage: Storage, key: JobKey, revision: str) -> bool:
    """Removes a document, unless another has taken its place. Whether it did."""
    found = storage.get(key)
    if found is None or found.document["revision"] != revision:
        return False
    # What is gone is ours to have removed: an answer may have been lost, and the request repeated.
    return storage.delete(key, found.version) or storage.get(key) is None


def select(
    found: Iterable[Stored | UnreadableDocument], job_name: str | None, states: list[str], older_than: float
) -> tuple[list[Stored], list[str]]:
    """The documents that are meant, oldest first, and what could not be read."""
    selected: list[Stored] = []
    unreadable: list[str] = []
    for one in found:
        if isinstance(one, UnreadableDocument):
            unreadable.append(str(one))
        elif _is_meant(one.document, job_name, states, older_than):
            selected.append(one)
    return sorted(selected, key=lambda stored: stored.document["saved_at"]), unreadable


def _is_meant(document: dict[str, Any], job_name: str | None, states: list[str], older_than: float) -> bool:
    if job_name is not None and document["job_name"] != job_name:
        return False
    return (not states or document["state"] in states) and age_of(document) >= older_than


def _document_of(key: JobKey, job: Job, before: dict[str, Any] | None, token: str | None) -> dict[str, Any]:
    holder = before and token_of(before)
    is_reserved = holder is not None and holder == token
    is_same = before is not None and before["ansible_job_id"] == job.ansible_job_id
    kept = before["metadata"] if before is not None and (is_same or is_reserved) else {}
    # The token stays, so that the same job may be saved once more with it.
    reservation = {"token": holder} if holder and (is_same or is_reserved) else None
    metadata = kept if job.metadata is None else job.metadata
    recorded = before["async_dir"] if before is not None and is_same else None
    # Where its reservation has it, it was found; whoever saves it later may not know.
    async_dir = recorded if recorded and reservation else job.async_dir or recorded or job.default_async_dir
    return job_document(key, job.ansible_job_id, async_dir, job.state, metadata, reservation)


def _is_recorded(storage: Storage, found: dict[str, Any], document: dict[str, Any]) -> bool:
    fields = ["ansible_job_id", "async_dir"]
    fields += ["metadata"] if storage.changes_metadata else []
    fields += ["state"] if storage.keeps_states else []
    return all(found[field] == document[field] for field in fields)


def gives_way(document: dict[str, Any], wish: Wish) -> bool:
    """Whether a start may be reserved in place of what is recorded."""
    if document["state"] == RESERVED:
        return wish.void_token is not None and token_of(document) == wish.void_token
    return wish.former_job_id is not None and document["ansible_job_id"] == wish.former_job_id


def _require_ours(key: JobKey, document: dict[str, Any], job: Job, token: str | None) -> None:
    if document["ansible_job_id"] == job.ansible_job_id:
        return
    holder = token_of(document)
    is_ours = holder is not None and holder == token
    if job.state != RUNNING and document["state"] == RUNNING:
        raise _refused(key, document, "the end of %s is not recorded in its place" % job.ansible_job_id)
    if is_ours or holder is None:
        return
    if document["state"] == RESERVED:
        raise _refused(
            key,
            document,
            "not with this token. Give the token of the reservation that the job was started with; if it was started "
            "without one, two may be running now",
        )
    raise _refused(
        key,
        document,
        "%s was not started with that reservation, and both may be running now. A job that has finished gives way to a "
        "reservation with former_job_id" % job.ansible_job_id,
    )


def _refused(key: JobKey, document: dict[str, Any], reason: str) -> Refused:
    about = "is reserved" if document["state"] == RESERVED else "is recorded as %s" % document["ansible_job_id"]
    return Refused("%s %s by %s since %s, and %s" % (key, about, document["saved_by"], document["saved_at"], reason))


def _require_reservations(storage: Storage) -> None:
    if storage.can_reserve:
        return
    message = (
        "backend longhaul has no reservations, because the service adopts jobs that exist. To have a job started exactly "
        "once under a name, have the service start it: module rstyczynski.ansible.longhaul_job with command or task"
    )
    raise StorageError(message)


def _contended(key: JobKey) -> StorageError:
    return StorageError("%s was written by others %d times in a row" % (key, ATTEMPTS))
