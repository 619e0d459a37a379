"""Jobs as a Longhaul service knows them: what is saved is adopted, and watched by the service from then on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ..longhaul_api import Answer, Api, ServiceError, job_path
from .document import FORMAT, UnreadableDocument, checked
from .keys import InvalidName, JobKey, service_part
from .storage import Storage, StorageError, Stored

PATIENCE = 60
PAGE = 500
MAX_NAME = 200
# What a state document has and a job hasn't is kept in the job's metadata, below this key.
NOTE = "ansible_async_state"
STATES = {"successful": "successful", "canceled": "canceled"}
# How a job fails of which no trace is left; and of which nobody knows, so that it may run on.
LOST = ("lost", "orphaned")
UNKNOWN = ("unreachable", "node_lost")


class Longhaul(Storage):
    """
    A document is the job `<playbook_name>:<job_name>@<host>`. Its state is the service's own finding; which of several
    controllers succeeds rests on the service's rules for a name that is used again.
    """

    # The service adopts what was started. What it starts itself (module longhaul_job) it starts once.
    can_reserve = False
    keeps_states = False
    changes_metadata = False

    def __init__(self, api: Api, inventory: Any, ttl: int | None = None) -> None:
        self.api = api
        self.inventory = inventory
        # Seconds from the job's end until it is forgotten; None leaves that to the service.
        self.ttl = ttl

    def get(self, key: JobKey) -> Stored | None:
        answer = self._ask("GET", job_path(_job_id(key)))
        if answer.is_no_job:
            return None
        return _stored(_good(answer).body, key.host)

    def create(self, key: JobKey, document: dict[str, Any]) -> bool:
        return self._adopt(key, document, "return")

    def replace(self, key: JobKey, document: dict[str, Any], version: str) -> bool:
        """A job that goes on is not replaced by another one: the service watches it."""
        return self._adopt(key, document, "rerun")

    def delete(self, key: JobKey, version: str) -> bool:
        """Of a job that goes on only the watching is ended."""
        path = job_path(_job_id(key))
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._ask("DELETE", path, query={"run": version})
            if answer.is_no_job or answer.status == 409:
                return False
            _good(answer)
            if answer.status == 204:
                return True
            if time.monotonic() > until:
                raise StorageError("the service has not let go of %s within %d s" % (key, PATIENCE))
            self._ask("GET", path, query={"wait": 10}, wait=10)

    def list(self, host: str | None, playbook_name: str | None) -> Iterator[Stored | UnreadableDocument]:
        query: dict[str, str | int] = {"kind": "adopt", "limit": PAGE}
        if playbook_name is not None:
            query["playbook_name"] = service_part(playbook_name)
        while True:
            page = _good(self._ask("GET", "/jobs", query=query)).body
            for job in page["items"]:
                at = job["name"].rpartition("@")[2]
                if "@" in job["name"] and unquote(at) == (host or unquote(at)):
                    try:
                        yield _stored(self._whole(job), unquote(at))
                    except UnreadableDocument as error:
                        yield error
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def _adopt(self, key: JobKey, document: dict[str, Any], when_finished: str) -> bool:
        adopt = {"host": key.host, "ansible_job_id": document["ansible_job_id"], "async_dir": document["async_dir"]}
        note = {**key._asdict(), **adopt, "saved_by": document["saved_by"]}
        spec = {
            "adopt": adopt,
            "inventory": self.inventory,
            "playbook_name": service_part(key.playbook_name),
            "name": _job_id(key).partition(":")[2],
            "metadata": {**document["metadata"], NOTE: note},
            "when_finished": when_finished,
        }
        answer = self._ask("POST", "/jobs", body=spec if self.ttl is None else {**spec, "ttl": self.ttl})
        refused_ttl = answer.problem if _refuses_ttl(answer) else None
        if refused_ttl is not None:
            # The job runs, and must be found.
            answer = self._ask("POST", "/jobs", body=spec)
        if answer.status == 409:
            if when_finished == "rerun":
                raise StorageError("another job is watched under that name and has not finished: %s" % answer.problem)
            return False
        _good(answer)
        if refused_ttl is not None:
            raise StorageError("%s is recorded, but its longhaul_ttl is refused: %s" % (key, refused_ttl))
        return True

    def _whole(self, summary: dict[str, Any]) -> dict[str, Any]:
        if NOTE in summary["metadata"]:
            return summary
        answer = self._ask("GET", job_path(summary["job_id"]))
        return summary if answer.is_no_job else _good(answer).body

    def _ask(self, method: str, path: str, **options: Any) -> Answer:
        """All of these may be repeated: each names the job, or the run, that is meant."""
        try:
            return self.api.persistently(time.monotonic() + PATIENCE, method, path, **options)
        except ServiceError as error:
            raise StorageError(str(error)) from error


def _job_id(key: JobKey) -> str:
    """@raises InvalidName, so that a name is refused before its job is started"""
    playbook, name = service_part(key.playbook_name), "%s@%s" % (service_part(key.job_name), service_part(key.host))
    for part in (playbook, name):
        if len(part) > MAX_NAME:
            raise InvalidName("the service takes names of up to %d characters, percent-encoded; too long: %s" % (MAX_NAME, part))
    return "%s:%s" % (playbook, name)


def _refuses_ttl(answer: Answer) -> bool:
    """Whether that is all that is wrong with a spec."""
    errors = answer.body.get("errors") or [] if isinstance(answer.body, dict) else []
    return answer.status == 422 and [error.get("pointer") for error in errors] == ["/ttl"]


def _good(answer: Answer) -> Answer:
    if answer.status >= 300:
        raise StorageError("the service refuses: %s" % answer.problem)
    return answer


def _stored(job: dict[str, Any], host: str) -> Stored:
    """A job, or its summary, as a state document."""
    metadata = dict(job["metadata"])
    note = metadata.pop(NOTE, {})
    # Anybody may have adopted it, with whatever metadata.
    note = note if isinstance(note, dict) else {}
    known = job.get("hosts", {}).get(host, {})
    document = {
        "version": FORMAT,
        "revision": job["run_id"],
        "host": host,
        "playbook_name": note.get("playbook_name", unquote(job["playbook_name"])),
        "job_name": note.get("job_name", unquote(job["name"].rpartition("@")[0])),
        "state": _state(job),
        "ansible_job_id": known.get("ansible_job_id") or note.get("ansible_job_id"),
        "async_dir": note.get("async_dir"),
        "metadata": metadata,
        "reservation": None,
        "saved_at": _time(job["created_at"]),
        "saved_by": note.get("saved_by", ""),
    }
    return Stored(checked(document, "the service's %s" % job["job_id"]), job["run_id"])


def _state(job: dict[str, Any]) -> str:
    if job["status"] == "failed":
        kind = (job["failure"] or {}).get("kind")
        return "running" if kind in UNKNOWN else "lost" if kind in LOST else "failed"
    return STATES.get(job["status"], "running")


def _time(text: str) -> str:
    """The service's times have milliseconds."""
    return text[:-1] + "000Z"
