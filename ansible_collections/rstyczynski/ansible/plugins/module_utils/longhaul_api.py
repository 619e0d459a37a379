"""Calls of the API of a Longhaul service. It runs on targets too: Python 3.8 and newer."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from .http import Http, NoAnswer, header_value

# What a service says while it, or what it rests on, starts again.
PASSING = (429, 502, 503, 504)
NO_CONTENT = 204
# What may pass of an answer that is not the service's own: who is in front of it may not have found it yet.
PASSING_OF_OTHERS = (404, 408, 425, 429)
PAUSE = 1.0
MOST_PAUSE = 10.0


class ServiceError(Exception):
    """The service can't be asked, or refuses. The message is for the person at the keyboard."""


class Unreachable(ServiceError):
    """No answer came, or none that settles anything. What was asked for may have been done, or not."""


class Answer(NamedTuple):
    status: int
    body: Any
    retry_after: float | None

    @property
    def is_no_job(self) -> bool:
        """Whether there is no such job. Another 404 is a wrong address, or somebody else's answer."""
        cause = self.body.get("type") if isinstance(self.body, dict) else None
        return self.status == 404 and isinstance(cause, str) and cause.endswith("/job-not-found")

    @property
    def problem(self) -> str:
        """An error answer in a line: problem details as RFC 9457 has them."""
        if not isinstance(self.body, dict):
            return "HTTP %d" % self.status
        told = self.body.get("detail") or self.body.get("title") or "HTTP %d" % self.status
        fields = ["%s: %s" % (e.get("pointer", e.get("parameter", "")), e.get("detail", "")) for e in self.body.get("errors", [])]
        fields = [field for field in fields if field not in told]
        return "%s (%s)" % (told, "; ".join(fields)) if fields else told


class Api:
    """One service, as one caller sees it."""

    def __init__(self, url: str, token: str | None, validate_certs: bool = True, timeout: float = 30) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.netloc:
            raise ServiceError("not an http or https address of a service: %s" % url)
        self.http = Http("%s://%s" % (address.scheme, address.netloc), validate_certs)
        self.base = address.path.rstrip("/") + "/api/v1"
        try:
            self.token = header_value(token or "", "the token")
        except ValueError as error:
            raise ServiceError(str(error)) from error
        self.timeout = timeout

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str | int] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        wait: float = 0,
    ) -> Answer:
        """
        One request, once.
        @param wait seconds that the service may take on purpose
        @raises Unreachable; another ServiceError if somebody in front of the service refuses
        """
        sent = {"accept": "application/json", **(headers or {})}
        if self.token:
            sent["authorization"] = "Bearer %s" % self.token
        if body is not None:
            sent["content-type"] = "application/json"
        target = self.base + path + ("?" + urlencode(query) if query else "")
        content = None if body is None else json.dumps(body).encode()
        try:
            status, got, answered = self.http.request(method, target, sent, content, self.timeout + wait)
            content_type = got.get("content-type", "")
            if status != NO_CONTENT and "json" not in content_type:
                what = "HTTP %d, %s" % (status, content_type or "without a type")
                is_refusal = 300 <= status < 500 and status not in PASSING_OF_OTHERS
                error = ServiceError if is_refusal else Unreachable
                raise error("%s%s is not answered by a Longhaul service: %s" % (self.http.origin, self.base, what))
            after = got.get("retry-after", "")
            document = None if status == NO_CONTENT else json.loads(answered)
            return Answer(status, document, float(after) if after.isdigit() else None)
        except (NoAnswer, ValueError) as error:
            raise Unreachable(str(error)) from error

    def persistently(self, until: float, method: str, path: str, **options: Any) -> Answer:
        """
        A request that may be repeated, through outages and restarts.
        @param until when to give up, by time.monotonic()
        @raises Unreachable
        """
        while True:
            try:
                answer = self.call(method, path, **options)
                if answer.status not in PASSING:
                    return answer
                trouble = Unreachable("%s says: %s" % (self.http.origin, answer.problem))
                pause = min(answer.retry_after or PAUSE, MOST_PAUSE)
            except Unreachable as error:
                trouble, pause = error, PAUSE
            if time.monotonic() + pause > until:
                raise trouble
            time.sleep(pause)


def job_path(job_id: str) -> str:
    return "/jobs/" + quote(job_id, safe="")
