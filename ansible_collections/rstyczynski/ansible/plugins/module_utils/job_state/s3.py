"""State documents in a bucket of any S3-compatible object storage. Needs nothing but Python's standard library."""

from __future__ import annotations

import configparser
import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ..http import Answer, Http, NoAnswer, header_value
from .signature import Credentials, encoded, query_string, signed_headers
from .storage import Objects, StorageError

TIMEOUT = 30
PAUSES = (0.5, 1, 2, 4)
# A storage answers 409 while another write of the same object is under way.
PASSING = (409, 429, 500, 502, 503, 504)
NO_ETAG = '"00000000000000000000000000000000"'


class S3(Objects):
    """Objects `<prefix>/<path>`. Conditional writes (`If-None-Match: *`, `If-Match`) keep controllers apart."""

    def __init__(self, bucket: str, endpoint: str, region: str, credentials: Credentials, prefix: str) -> None:
        self.bucket = bucket
        self.region = region
        self.credentials = credentials
        self.prefix = prefix
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.netloc:
            raise StorageError("s3_endpoint is not an http or https address: %s" % endpoint)
        self.origin = "%s://%s" % (url.scheme, url.netloc)
        self.host = url.netloc
        self.http = Http(self.origin)
        self.base = url.path.rstrip("/") + "/" + encoded(bucket)

    def _read(self, path: str) -> tuple[bytes, str] | None:
        answer = self._call("GET", path, expected=(200, 404))
        if answer.status == 404:
            return None
        return answer.body, answer.headers.get("etag", "")

    def _write_new(self, path: str, content: bytes) -> bool:
        created = self._put(path, content, {"if-none-match": "*"})
        if created:
            self._require_conditions(path, content)
        return created

    def _write_over(self, path: str, content: bytes, version: str) -> bool:
        return self._put(path, content, {"if-match": version})

    def _remove(self, path: str, version: str) -> bool:
        answer = self._call("DELETE", path, {"if-match": version}, expected=(200, 204, 404, 412))
        return answer.status in (200, 204)

    def _paths(self, prefix: str) -> Iterator[str]:
        query = {"list-type": "2", "prefix": self.prefix + prefix}
        while True:
            page = self._page(query)
            for key in page.iterfind("{*}Contents/{*}Key"):
                yield (key.text or "")[len(self.prefix) :]
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def _page(self, query: dict[str, str]) -> ElementTree.Element:
        answer = self._call("GET", None, query=query, expected=(200,))
        with suppress(ElementTree.ParseError):
            page = ElementTree.fromstring(answer.body)
            if page.tag.endswith("ListBucketResult"):
                return page
        raise StorageError("what %s answers is no list of objects" % self.origin)

    def _put(self, path: str, content: bytes, condition: dict[str, str]) -> bool:
        headers = {**condition, "content-type": "application/json"}
        # With If-Match an object that is gone is a 404.
        return self._call("PUT", path, headers, content, expected=(200, 404, 412)).status == 200

    def _require_conditions(self, path: str, content: bytes) -> None:
        """A server that takes no notice of conditions would let two operators start one job. Tries it with what was written."""
        for condition in ({"if-none-match": "*"}, {"if-match": NO_ETAG}):
            if self._put(path, content, condition):
                message = "%s takes no notice of %s, so that it can't keep two controllers apart: use another storage"
                raise StorageError(message % (self.origin, "/".join(condition)))

    def _call(
        self,
        method: str,
        path: str | None,
        headers: dict[str, str] | None = None,
        content: bytes = b"",
        query: dict[str, str] | None = None,
        expected: tuple[int, ...] = (),
    ) -> Answer:
        """One request, repeated through passing trouble: all of them may be repeated, because writes are conditional."""
        for pause in (*PAUSES, None):
            answer = self._try(method, path, headers or {}, content, query or {})
            if isinstance(answer, Answer) and answer.status in expected and not _is_astray(answer):
                return answer
            if pause is None or (isinstance(answer, Answer) and answer.status not in PASSING):
                break
            time.sleep(pause)
        told = ": ".join(filter(None, _error(answer))) if isinstance(answer, Answer) else str(answer)
        raise StorageError("%s %s in bucket %s of %s failed: %s" % (method, path or "list", self.bucket, self.origin, told))

    def _try(
        self, method: str, path: str | None, headers: dict[str, str], content: bytes, query: dict[str, str]
    ) -> Answer | NoAnswer:
        target = self.base + ("" if path is None else "/" + encoded(self.prefix + path, safe="/"))
        now = datetime.now(timezone.utc)
        signed = signed_headers(method, self.host, target, query, headers, content, self.credentials, self.region, now)
        whole = target + ("?" + query_string(query) if query else "")
        try:
            return self.http.request(method, whole, signed, content if method == "PUT" else None, TIMEOUT)
        except NoAnswer as error:
            return error


def _is_astray(answer: Answer) -> bool:
    """Whether it is a 404 that says nothing of the object: the bucket is wrong, or the address."""
    return answer.status == 404 and _error(answer)[0] != "NoSuchKey"


def _error(answer: Answer) -> tuple[str, str]:
    """The code and the message of an error answer."""
    try:
        error = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError:
        return "HTTP %d" % answer.status, ""
    return error.findtext("{*}Code") or "HTTP %d" % answer.status, error.findtext("{*}Message") or ""


def find_credentials(access_key: str | None, secret_key: str | None) -> Credentials:
    try:
        found = _found_credentials(access_key, secret_key)
        return Credentials(
            header_value(found.access_key, "access_key"),
            found.secret_key.strip(),
            found.session_token and header_value(found.session_token, "session_token"),
        )
    except ValueError as error:
        raise StorageError("S3 credentials: %s" % error) from error


def _found_credentials(access_key: str | None, secret_key: str | None) -> Credentials:
    """As given, else from where AWS's own tools look first: the environment, and the shared credentials file."""
    if access_key and secret_key:
        return Credentials(access_key, secret_key)
    env = os.environ
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN"))
    file = os.path.expanduser(env.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
    profiles = configparser.ConfigParser(interpolation=None)
    try:
        profiles.read(file)
    except (configparser.Error, UnicodeDecodeError):
        # The error would show a line of it.
        raise StorageError("%s is not a credentials file of AWS" % file) from None
    profile = env.get("AWS_PROFILE", "default")
    if not profiles.has_option(profile, "aws_access_key_id"):
        message = (
            "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give them to the role, or profile %s in %s"
        )
        raise StorageError(message % (profile, file))
    section = profiles[profile]
    return Credentials(section["aws_access_key_id"], section.get("aws_secret_access_key", ""), section.get("aws_session_token"))


def endpoint_of(region: str) -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "https://s3.%s.amazonaws.com" % region


def default_region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
