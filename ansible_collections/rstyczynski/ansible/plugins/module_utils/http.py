"""HTTP requests, answered whatever their status. It runs on targets too: Python 3.8 and newer."""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener


class NoAnswer(Exception):
    """What was asked for may have been done, or not."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Http:
    """Requests to one origin. Proxies are used as the environment says; redirects are not followed."""

    def __init__(self, origin: str, validate_certs: bool = True) -> None:
        # Loading the system's certificates takes longer than a request.
        context = ssl.create_default_context() if origin.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.origin = origin
        self.opener = build_opener(HTTPSHandler(context=context), _NoRedirects())

    def request(self, method: str, target: str, headers: dict[str, str], content: bytes | None, timeout: float) -> Answer:
        """@raises NoAnswer"""
        request = Request(self.origin + target, content, headers, method=method)
        try:
            answer = self.opener.open(request, timeout=timeout)
        except HTTPError as error:
            answer = error
        except (OSError, HTTPException) as error:
            raise NoAnswer("%s can't be reached: %s" % (self.origin, getattr(error, "reason", None) or error)) from error
        try:
            with answer:
                return Answer(answer.code, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
        except (OSError, HTTPException) as error:
            raise NoAnswer("%s broke off its answer: %s" % (self.origin, error)) from error


def header_value(secret: str, what: str) -> str:
    """A secret as a header takes it: from a file it may end with the line. @raises ValueError, which doesn't show it"""
    value = secret.strip()
    if re.search(r"[^ -~]", value):
        raise ValueError("%s has characters that can't be sent in a header (it is not shown here)" % what)
    return value


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        return None
