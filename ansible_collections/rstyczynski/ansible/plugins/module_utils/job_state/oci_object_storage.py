"""State documents in a bucket of OCI Object Storage, through the `oci` SDK."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from .storage import Objects, StorageError

TIMEOUTS = (10, 60)
ATTEMPTS = 5
PATIENCE = 60
CONDITION_FAILED = 412


class OciObjectStorage(Objects):
    """Objects `<prefix>/<path>`. Conditional writes (`If-None-Match: *`, `If-Match`) keep controllers apart."""

    def __init__(
        self,
        bucket: str,
        namespace: str | None,
        endpoint: str | None,
        config_file: str | None,
        profile: str | None,
        prefix: str,
    ) -> None:
        self.oci = _sdk()
        self.client = self._client(endpoint, config_file, profile)
        self.prefix = prefix
        namespace = namespace or self._call("find the namespace", self.client.get_namespace).data
        self.bucket = (namespace, bucket)

    def _client(self, endpoint: str | None, config_file: str | None, profile: str | None) -> Any:
        retries = self.oci.retry.RetryStrategyBuilder(
            max_attempts=ATTEMPTS,
            total_elapsed_time_seconds=PATIENCE,
            service_error_check=True,
            # Another write of the same object is under way.
            service_error_retry_config={409: ["ConcurrentObjectUpdate", "IncorrectState"], 429: []},
            service_error_retry_on_any_5xx=True,
        )
        config = self.oci.config
        try:
            return self.oci.object_storage.ObjectStorageClient(
                config.from_file(config_file or config.DEFAULT_LOCATION, profile or config.DEFAULT_PROFILE),
                service_endpoint=endpoint,
                timeout=TIMEOUTS,
                retry_strategy=retries.get_retry_strategy(),
            )
        except (self.oci.exceptions.ClientError, ValueError, OSError) as error:
            raise StorageError("the configuration of the oci SDK can't be used: %s" % error) from error

    def _read(self, path: str) -> tuple[bytes, str] | None:
        answer = self._call("read %s" % path, self.client.get_object, *self.bucket, self.prefix + path)
        return answer and (answer.data.content, answer.headers["etag"])

    def _write_new(self, path: str, content: bytes) -> bool:
        return self._put(path, content, if_none_match="*")

    def _write_over(self, path: str, content: bytes, version: str) -> bool:
        return self._put(path, content, if_match=version)

    def _put(self, path: str, content: bytes, **condition: str) -> bool:
        about = {"content_type": "application/json", **condition}
        answer = self._call("write %s" % path, self.client.put_object, *self.bucket, self.prefix + path, content, **about)
        return answer is not None

    def _remove(self, path: str, version: str) -> bool:
        name = self.prefix + path
        answer = self._call("remove %s" % path, self.client.delete_object, *self.bucket, name, if_match=version)
        return answer is not None

    def _paths(self, prefix: str) -> Iterator[str]:
        start: dict[str, str] | None = {}
        while start is not None:
            page = self._call("list", self.client.list_objects, *self.bucket, prefix=self.prefix + prefix, **start).data
            for found in page.objects:
                yield found.name[len(self.prefix) :]
            start = {"start": page.next_start_with} if page.next_start_with else None

    def _call(self, what: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The answer of a call of the SDK; None if there is no such object, or it isn't as the condition says."""
        try:
            return call(*args, **options)
        except self.oci.exceptions.ServiceError as error:
            if error.status == CONDITION_FAILED or error.code == "ObjectNotFound":
                return None
            told = "%s: %s" % (error.code, error.message)
            raise StorageError("can't %s in OCI Object Storage: %s" % (what, told)) from error
        except (self.oci.exceptions.ClientError, self.oci.exceptions.RequestException, OSError) as error:
            raise StorageError("can't %s in OCI Object Storage: %s" % (what, error)) from error


def _sdk() -> Any:
    # Importing the clients of all services costs seconds.
    os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "1")
    try:
        import oci
        import oci.object_storage
    except ImportError as error:
        message = "backend oci needs the package oci in the Python that runs ansible-playbook: %s"
        raise StorageError(message % error) from error
    return oci
