"""Which storage is meant, and with which settings."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..longhaul_api import Api, ServiceError
from .storage import Storage, StorageError

BACKENDS = ("filesystem", "oci", "s3", "longhaul")

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# As the roles have them, without their prefix.
OPTIONS: dict[str, dict[str, Any]] = {
    "backend": {"type": "str", "default": "filesystem", "choices": list(BACKENDS)},
    "root": {"type": "str", "default": ".ansible_async_state"},
    "oci_bucket": {"type": "str"},
    "oci_namespace": {"type": "str"},
    "oci_endpoint": {"type": "str"},
    "oci_config_file": {"type": "str"},
    "oci_profile": {"type": "str"},
    "s3_bucket": {"type": "str"},
    "s3_endpoint": {"type": "str"},
    "s3_region": {"type": "str"},
    "s3_access_key": {"type": "str", "no_log": True},
    "s3_secret_key": {"type": "str", "no_log": True},
    "longhaul_url": {"type": "str"},
    "longhaul_token": {"type": "str", "no_log": True},
    "longhaul_inventory": {"type": "raw"},
    "longhaul_ttl": {"type": "str"},
    "longhaul_validate_certs": {"type": "bool", "default": True},
}


class Connection(NamedTuple):
    """How the play reaches the host, for a service that is to reach it too: an inventory of the one host."""

    inventory: Any
    is_local: bool = False


def open_storage(settings: dict[str, Any], connection: Connection) -> Storage:
    """
    @param settings values of OPTIONS; what is empty counts as not given
    @raises StorageError
    """
    given = {name: None if value == "" else value for name, value in settings.items()}
    return OPENERS[given["backend"]](given, connection)


def _filesystem(given: dict[str, Any], _connection: Connection) -> Storage:
    from .filesystem import Filesystem

    return Filesystem(given["root"])


def _oci(given: dict[str, Any], _connection: Connection) -> Storage:
    from .oci_object_storage import OciObjectStorage

    return OciObjectStorage(
        _required(given, "oci_bucket"),
        given["oci_namespace"],
        given["oci_endpoint"],
        given["oci_config_file"],
        given["oci_profile"],
        _prefix(given),
    )


def _s3(given: dict[str, Any], _connection: Connection) -> Storage:
    from .s3 import S3, default_region, endpoint_of, find_credentials

    region = given["s3_region"] or default_region()
    credentials = find_credentials(given["s3_access_key"], given["s3_secret_key"])
    return S3(_required(given, "s3_bucket"), given["s3_endpoint"] or endpoint_of(region), region, credentials, _prefix(given))


def _longhaul(given: dict[str, Any], connection: Connection) -> Storage:
    from .longhaul import Longhaul

    url = given["longhaul_url"] or os.environ.get("LONGHAUL_URL") or "http://127.0.0.1:8000"
    token = given["longhaul_token"] or os.environ.get("LONGHAUL_TOKEN")
    if connection.is_local and not given["longhaul_inventory"] and not _is_here(url):
        raise StorageError(
            "the connection is local, which for the service at %s means its own machine, and there it would not find the job. "
            "Give longhaul_inventory: one by which it reaches this machine under the job's host name, or an inline one with "
            "ansible_connection: local if it runs here" % url
        )
    ttl = given.get("longhaul_ttl")
    try:
        api = Api(url, token, given["longhaul_validate_certs"])
    except ServiceError as error:
        raise StorageError(str(error)) from error
    return Longhaul(api, given["longhaul_inventory"] or connection.inventory, None if ttl is None else round(seconds_of(ttl)))


def seconds_of(text: str) -> float:
    """A time such as 90, 15m, 12h, 7d. @raises StorageError"""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if found is None:
        raise StorageError("not a time: %s; give seconds, or a number with s, m, h, d or w" % text)
    return float(found[1]) * SECONDS[found[2]]


def _is_here(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    return name in ("localhost", "::1") or name.startswith("127.")


OPENERS = {"filesystem": _filesystem, "oci": _oci, "s3": _s3, "longhaul": _longhaul}


def _required(given: dict[str, Any], name: str) -> Any:
    if given[name] is None:
        raise StorageError("backend %s needs %s" % (given["backend"], name))
    return given[name]


def _prefix(given: dict[str, Any]) -> str:
    """The root as the beginning of an object's name."""
    root = (given["root"] or "").strip("/")
    return root + "/" if root else ""
