"""AWS Signature Version 4, as far as requests to an object storage need it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote


class Credentials(NamedTuple):
    access_key: str
    secret_key: str
    session_token: str | None = None


def encoded(text: str, safe: str = "") -> str:
    return quote(text, safe=safe + "-_.~")


def query_string(query: dict[str, str]) -> str:
    return "&".join("%s=%s" % (encoded(name), encoded(value)) for name, value in sorted(query.items()))


def signed_headers(
    method: str,
    host: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    content: bytes,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """`headers` with those that sign them. @param path as it is sent, percent-encoded"""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    content_hash = hashlib.sha256(content).hexdigest()
    token = {"x-amz-security-token": credentials.session_token} if credentials.session_token else {}
    every = {**headers, **token, "host": host, "x-amz-date": time, "x-amz-content-sha256": content_hash}

    names = ";".join(sorted(every))
    lines = "".join("%s:%s\n" % (name, every[name].strip()) for name in sorted(every))
    request = "\n".join([method, path, query_string(query), lines, names, content_hash])
    scope = "%s/%s/s3/aws4_request" % (time[:8], region)
    to_sign = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])

    key = ("AWS4" + credentials.secret_key).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    authorization = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
    return {**every, "authorization": authorization % (credentials.access_key, scope, names, signature)}
