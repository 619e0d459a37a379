"""What inventories said, so that not each request reads them again. (Files of variables beside them it does read.)"""

import base64
import dataclasses
import os
import pickle
import time

from ansible.inventory.manager import InventoryManager

#: How old an answer may get; one whose files have changed is not used at all. So it counts for what programs generate.
FRESH_SECONDS = 60.0
LIMIT_BYTES = 64 * 1024 * 1024
WITHOUT = ("group_vars", "host_vars")


@dataclasses.dataclass
class Known:
    data: bytes
    state: list
    since: float
    renewing_until: float = 0.0


class Inventories:
    """Filled and offered in the agent, in memory: what they say may be secret. Used in its forks."""

    def __init__(self):
        self._known = {}

    def remember(self, record):
        self._known.pop(record["inventory"], None)
        self._known[record["inventory"]] = Known(base64.b64decode(record["data"]), record["state"], time.monotonic())
        while sum(len(known.data) for known in self._known.values()) > LIMIT_BYTES:
            del self._known[next(iter(self._known))]

    def offer(self, inventory):
        """What the next fork may use. When that is old, one fork gets nothing and reads anew; the others needn't wait for it."""
        known, now = self._known.get(inventory), time.monotonic()
        if known is None or now < max(known.since + FRESH_SECONDS, known.renewing_until):
            return known
        known.renewing_until = now + FRESH_SECONDS
        return None


class KnownInventory(InventoryManager):
    """An inventory that is read, unless what it said is known."""

    known = None

    def parse_sources(self, cache=False):
        if self.known is None:
            super().parse_sources(cache)
        else:
            self._inventory = pickle.loads(self.known)

    def said(self):
        return base64.b64encode(pickle.dumps(self._inventory)).decode()


def state(inventory):
    """What tells whether the files of an inventory have changed."""
    found = [_state(inventory)]
    for folder, folders, files in os.walk(inventory):
        folders[:] = sorted(name for name in folders if name not in WITHOUT)
        found += [_state(os.path.join(folder, name)) for name in [*folders, *sorted(files)]]
    return found


def _state(path):
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return [path, seen.st_ino, seen.st_size, seen.st_mtime_ns]
