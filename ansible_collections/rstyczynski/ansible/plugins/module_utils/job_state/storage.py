"""What a storage of state documents must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from .document import UnreadableDocument, parse, serialize
from .keys import JobKey


class StorageError(Exception):
    """The storage can't do what was asked. The message is for the person at the keyboard."""


class Stored(NamedTuple):
    """A document as it was found. `version` names exactly this writing of it."""

    document: dict[str, Any]
    version: str


class Storage(ABC):
    """
    Where documents are kept. Every change is conditional, and atomic among all controllers: of several that try, one succeeds.
    """

    can_reserve = True
    # Whether a job's state is what was recorded, and not what the storage finds.
    keeps_states = True
    # Whether a document that is there may be given other metadata.
    changes_metadata = True

    @abstractmethod
    def get(self, key: JobKey) -> Stored | None: ...

    @abstractmethod
    def create(self, key: JobKey, document: dict[str, Any]) -> bool:
        """Records the document if there is none. Whether it did."""

    @abstractmethod
    def replace(self, key: JobKey, document: dict[str, Any], version: str) -> bool:
        """Records the document if the one that is there is still of that version. Whether it did."""

    @abstractmethod
    def delete(self, key: JobKey, version: str) -> bool:
        """Removes the document if it is still of that version. Whether it did."""

    @abstractmethod
    def list(self, host: str | None, playbook_name: str | None) -> Iterator[Stored | UnreadableDocument]:
        """The documents of a host, of a playbook, or all; what can't be read is told in its place."""


class Objects(Storage):
    """A storage that keeps a document as an object, or a file, under a path. Versions are what `_read` says they are."""

    @abstractmethod
    def _read(self, path: str) -> tuple[bytes, str] | None: ...

    @abstractmethod
    def _write_new(self, path: str, content: bytes) -> bool: ...

    @abstractmethod
    def _write_over(self, path: str, content: bytes, version: str) -> bool: ...

    @abstractmethod
    def _remove(self, path: str, version: str) -> bool: ...

    @abstractmethod
    def _paths(self, prefix: str) -> Iterator[str]:
        """The paths that begin so."""

    def get(self, key: JobKey) -> Stored | None:
        return self._document(key.path)

    def create(self, key: JobKey, document: dict[str, Any]) -> bool:
        content = serialize(document)
        return self._write_new(key.path, content) or self._has(key.path, content)

    def replace(self, key: JobKey, document: dict[str, Any], version: str) -> bool:
        content = serialize(document)
        return self._write_over(key.path, content, version) or self._has(key.path, content)

    def delete(self, key: JobKey, version: str) -> bool:
        return self._remove(key.path, version)

    def list(self, host: str | None, playbook_name: str | None) -> Iterator[Stored | UnreadableDocument]:
        prefix = JobKey(host, "-", "-").path.split("/")[0] + "/" if host else ""
        for path in self._paths(prefix):
            if not path.endswith(".json"):
                continue
            try:
                stored = self._document(path)
            except UnreadableDocument as error:
                yield error
                continue
            # It may have been removed since.
            if stored is not None and playbook_name in (None, stored.document["playbook_name"]):
                yield stored

    def _document(self, path: str) -> Stored | None:
        found = self._read(path)
        return found and Stored(parse(found[0], path), found[1])

    def _has(self, path: str, content: bytes) -> bool:
        """A write that is said to have failed may be our own, repeated because its first answer was lost. No two are alike."""
        found = self._read(path)
        return found is not None and found[0] == content
