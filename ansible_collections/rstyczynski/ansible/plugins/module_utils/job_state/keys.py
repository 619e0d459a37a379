"""How a job is named, and where that name leads in a storage."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

# Control characters, what separates folders on some system, and the escape itself.
UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\%]|^\.")
MAX_PART_BYTES = 200


class InvalidName(ValueError):
    """A host, playbook or job name that can't be kept."""


class JobKey(NamedTuple):
    """The job that is meant: one of this name per playbook and host."""

    host: str
    playbook_name: str
    job_name: str

    @property
    def path(self) -> str:
        """Below the root of a storage. Different keys have different paths, and none leads out of the root."""
        return "%s/%s/%s.json" % (path_part(self.host), path_part(self.playbook_name), path_part(self.job_name))

    def __str__(self) -> str:
        return "%s of %s on %s" % (self.job_name, self.playbook_name, self.host)


def path_part(name: str) -> str:
    """A name as one part of a path: as it is where that is safe, with %XX where it isn't."""
    part = UNSAFE.sub(lambda found: "".join("%%%02X" % byte for byte in found.group().encode()), name)
    if not part or len(part.encode()) > MAX_PART_BYTES:
        raise InvalidName("a name must have from 1 to %d bytes: %r" % (MAX_PART_BYTES, name))
    return part


def service_part(name: str) -> str:
    """A name within the grammar of the service's names; without `@`, which separates two of them."""
    part = quote(name, safe="+=")
    return "%%%02X%s" % (ord(part[0]), part[1:]) if part[:1] in (".", "-") else part
