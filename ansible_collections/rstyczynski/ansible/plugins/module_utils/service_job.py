"""What module longhaul_job asks of a service. It runs on targets too: Python 3.8 and newer."""

from __future__ import annotations

import math
import re
import time
import uuid
from typing import Any, NamedTuple

from .longhaul_api import PASSING, PAUSE, Answer, Api, ServiceError, Unreachable, job_path

FINISHED = ("successful", "failed", "canceled")
# How long a service may be away, as while it is started again.
PATIENCE = 120
POLL = 30
# After these a request may have come through.
LOST = (502, 504)


class Refused(ServiceError):
    """An error answer of the service."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.problem)
        self.is_no_job = answer.is_no_job
        self.status = answer.status
        self.body = answer.body


class Submitted(NamedTuple):
    run_id: str
    job_id: str
    created: bool


def job_id_of(spec: dict[str, Any]) -> str | None:
    """The handle of a job that has a name; as the service makes it."""
    if spec.get("name") is None:
        return None
    made = "task" if "command" in spec else next((kind for kind in ("task", "adopt", "steps") if kind in spec), "")
    playbook = re.sub(r"\.ya?ml$", "", spec.get("playbook", ""), flags=re.IGNORECASE).replace("/", ".")
    return "%s:%s" % (spec.get("playbook_name") or playbook or made, spec["name"])


def find(api: Api, job_id: str) -> dict[str, Any] | None:
    """The document of a job's latest run."""
    answer = api.persistently(_soon(), "GET", job_path(job_id))
    return None if answer.is_no_job else _good(answer).body


def would_start(found: dict[str, Any] | None, when_finished: str) -> bool:
    """Whether submitting a job of this name starts a run, if the spec is the same."""
    if found is None:
        return True
    if found["status"] not in FINISHED or when_finished == "return":
        return False
    return when_finished == "rerun" or found["status"] != "successful"


def submit(api: Api, spec: dict[str, Any]) -> Submitted:
    """
    Submits a job once, also if an answer is lost: then it is found by its name, or by a key that it is given here.
    @raises Refused
    """
    job_id = job_id_of(spec)
    if job_id is not None:
        return _submit_named(api, job_id, spec)
    headers = {"idempotency-key": uuid.uuid4().hex}
    return _submitted(_good(api.persistently(_soon(), "POST", "/jobs", body=spec, headers=headers)))


def _submit_named(api: Api, job_id: str, spec: dict[str, Any]) -> Submitted:
    """Not just repeated: the run that the first request began would be told as one found, or if it is over be run again."""
    before = find(api, job_id)
    may_have_begun = False
    until = _soon()
    while True:
        try:
            answer = api.call("POST", "/jobs", body=spec)
            if answer.status not in PASSING:
                return _begun(_submitted(_good(answer)), may_have_begun, before)
            trouble = Refused(answer)
            may_have_begun = may_have_begun or answer.status in LOST
        except Unreachable as error:
            trouble = error
            may_have_begun = True
        now = find(api, job_id)
        if now is not None and now["run_id"] != (before and before["run_id"]):
            # It may be another's: then it is refused, unless it is of the same spec.
            same = dict(spec, when_finished="return")
            found = _submitted(_good(api.persistently(_soon(), "POST", "/jobs", body=same)))
            return _begun(found, may_have_begun, before)
        if time.monotonic() > until:
            raise trouble
        time.sleep(PAUSE)


def _begun(submitted: Submitted, may_have_begun: bool, before: dict[str, Any] | None) -> Submitted:
    """With whether an earlier request has begun that run, as far as that can be told."""
    is_new = before is None or submitted.run_id != before["run_id"]
    return submitted._replace(created=submitted.created or (may_have_begun and is_new))


def wait(api: Api, job_id: str, run_id: str, seconds: float | None) -> dict[str, Any]:
    """The document of the run when it has ended, or the time is over. Outages of the service are waited through."""
    until = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        poll = int(max(0, min(POLL, until - time.monotonic())))
        query = {"run": run_id, "wait": poll} if poll else {"run": run_id}
        document = _good(api.persistently(until + PATIENCE, "GET", job_path(job_id), query=query, wait=poll)).body
        if document["status"] in FINISHED or time.monotonic() >= until:
            return document
        if poll == 0:
            time.sleep(PAUSE)


def remove(api: Api, job_id: str, kill: bool, seconds: float | None) -> bool:
    """
    Cancels a job if it has not finished, then deletes it. Whether there was one.
    @raises Unreachable when the time is over
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    found = find(api, job_id)
    if found is None:
        return False
    run = {"run": found["run_id"]}
    if kill and found["status"] not in FINISHED:
        answer = api.persistently(_soon(), "POST", job_path(job_id) + "/cancel", query=run, body={"kill": True})
        # 409: it has ended by itself.
        if not answer.is_no_job and answer.status != 409:
            _good(answer)
    while True:
        answer = api.persistently(_soon(), "DELETE", job_path(job_id), query=run)
        # Or another has removed it.
        if answer.is_no_job or _good(answer).status == 204:
            return True
        try:
            document = wait(api, job_id, found["run_id"], min(POLL, max(0, until - time.monotonic())))
        except Refused as error:
            if error.is_no_job:
                return True
            raise
        if document["status"] not in FINISHED and time.monotonic() >= until:
            raise Unreachable("%s is still %s: %s" % (job_id, document["status"], document["progress"]["message"]))


def _submitted(answer: Answer) -> Submitted:
    return Submitted(answer.body["run_id"], answer.body["job_id"], answer.body["created"])


def _good(answer: Answer) -> Answer:
    if answer.status >= 300:
        raise Refused(answer)
    return answer


def _soon() -> float:
    return time.monotonic() + PATIENCE
