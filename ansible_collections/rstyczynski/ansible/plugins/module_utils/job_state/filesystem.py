"""State documents as files: `<root>/<host>/<playbook_name>/<job_name>.json`."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .storage import Objects, StorageError

LOCK_SECONDS = 30.0
TEMPORARY = ".tmp-"


class Filesystem(Objects):
    """
    Files are written beside their place, synced and linked or renamed to it, so that a crash leaves the old or the new.
    Writers exclude each other by a kernel lock, which ends with its holder.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(os.path.expanduser(root))

    def _read(self, path: str) -> tuple[bytes, str] | None:
        try:
            with open(self._at(path), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError("can't read %s: %s" % (self._at(path), error.strerror)) from error
        return content, hashlib.sha256(content).hexdigest()

    def _write_new(self, path: str, content: bytes) -> bool:
        with self._alone(), self._written(path, content) as temporary:
            try:
                os.link(temporary, self._at(path))
            except FileExistsError:
                return False
            os.unlink(temporary)
            return True

    def _write_over(self, path: str, content: bytes, version: str) -> bool:
        with self._alone():
            if not self._is(path, version):
                return False
            with self._written(path, content) as temporary:
                os.rename(temporary, self._at(path))
            return True

    def _remove(self, path: str, version: str) -> bool:
        with self._alone():
            if not self._is(path, version):
                return False
            os.unlink(self._at(path))
            sync_folder(os.path.dirname(self._at(path)))
            return True

    def _paths(self, prefix: str) -> Iterator[str]:
        for folder, _folders, names in os.walk(self._at(prefix), onerror=_unreadable):
            for name in sorted(names):
                if not name.startswith("."):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def _at(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _is(self, path: str, version: str) -> bool:
        found = self._read(path)
        return found is not None and found[1] == version

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other writers out. Errors of the disk are told in a line."""
        try:
            os.makedirs(self.root, exist_ok=True)
            with open(os.path.join(self.root, ".lock"), "ab", opener=_open_lock) as lock:
                _take(lock.fileno(), lock.name)
                yield
        except OSError as error:
            raise StorageError("can't write below %s: %s" % (self.root, error.strerror)) from error

    @contextmanager
    def _written(self, path: str, content: bytes) -> Iterator[str]:
        """A complete, synced file in the folder of `path`, to be linked or renamed; the folder is synced afterwards."""
        folder = os.path.dirname(self._at(path))
        _make_folder(folder)
        _remove_leftovers(folder)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(folder).st_mode) & 0o666)
                os.fsync(file.fileno())
            yield temporary
            sync_folder(folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def sync_folder(folder: str) -> None:
    """Makes what was done in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: str) -> None:
    """Whoever may write above it may write in it; but not where everybody may write, as in /tmp."""
    if not os.path.isdir(folder):
        above = os.path.dirname(folder)
        _make_folder(above)
        os.mkdir(folder)
        mode = stat.S_IMODE(os.stat(above).st_mode)
        if not mode & stat.S_ISVTX:
            os.chmod(folder, mode)
        sync_folder(above)


def _open_lock(path: str, flags: int) -> int:
    """Whoever may write in its folder may take it."""
    mode = stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) & 0o666
    handle = os.open(path, flags, mode)
    if os.fstat(handle).st_uid == os.geteuid():
        os.fchmod(handle, mode)  # whatever the umask is
    return handle


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise StorageError("can't list %s: %s" % (error.filename, error.strerror)) from error


def _take(handle: int, name: str) -> None:
    """Waits for the lock, but not for ever: its holder may be frozen."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() > until:
                raise StorageError("another controller has held %s for %d s" % (name, LOCK_SECONDS)) from error
        time.sleep(0.02)


def _remove_leftovers(folder: str) -> None:
    """Under the lock nobody else writes here: what looks like a write under way was left by a crash."""
    for name in os.listdir(folder):
        if name.startswith(TEMPORARY):
            os.unlink(os.path.join(folder, name))
