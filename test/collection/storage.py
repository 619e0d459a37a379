"""Holds one storage to what the roles rest on, storage.py SETTINGS. What it doesn't keep is an AssertionError."""

import json
import sys

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import InvalidName, JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage

HOSTS = ["web1", "::1", "a/b"]
NAMES = ["job", "..", ".hidden", "a/../../b", "sp ace", "ünï", "100%", "%2E", "new\nline", "q?&=+#"]


def main() -> None:
    settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
    storage = open_storage(settings, Connection("localhost,"))
    keys = [JobKey(host, "A play", name) for host in HOSTS for name in NAMES]
    for number, key in enumerate(keys):
        assert storage.get(key) is None
        operations.save(storage, key, operations.Job("j%d.1" % number, "~/d", "running", {"of": list(key)}), None)
    for number, key in enumerate(keys):
        document = storage.get(key).document
        assert (document["ansible_job_id"], document["metadata"]) == ("j%d.1" % number, {"of": list(key)}), key
    print("found %d" % len(keys))

    assert len(listed(storage)) == len(keys)
    assert listed(storage, host="web1") == sorted(NAMES)
    assert listed(storage, host="web") == listed(storage, playbook_name="A") == []
    assert len(listed(storage, host="a/b", playbook_name="A play")) == len(NAMES)

    key = keys[0]
    job = operations.Job("j7.7", "~/d", "running", None)
    before = storage.get(key)
    assert operations.save(storage, key, job, None)[1] and not operations.save(storage, key, job, None)[1]
    # Of the same job what isn't said stays as it is.
    operations.save(storage, key, job._replace(async_dir=None, metadata={"more": 1}), None)
    assert (storage.get(key).document["async_dir"], storage.get(key).document["metadata"]) == ("~/d", {"more": 1})
    assert not storage.replace(key, before.document, before.version) and not storage.delete(key, before.version)
    assert not storage.create(key, before.document)
    assert not operations.remove(storage, key, before.document["revision"])
    assert storage.get(key).document["ansible_job_id"] == "j7.7"
    assert operations.remove(storage, key, storage.get(key).document["revision"]) and storage.get(key) is None

    refused(storage, keys[1], operations.Job("j9.9", None, "failed", None), None)
    operations.save(storage, keys[1], operations.Job("j1.1", None, "failed", None), None)
    operations.save(storage, keys[1], operations.Job("j9.9", None, "failed", None), None)
    wish = operations.Wish("/async", 60, {})
    token = operations.reserve(storage, key, wish).token
    refused(storage, key, job, None)
    operations.save(storage, key, job._replace(ansible_job_id="j1.1"), token)
    again = operations.reserve(storage, key, wish._replace(former_job_id="j1.1")).token
    operations.save(storage, key, job._replace(ansible_job_id="j2.2"), again)
    # Who comes back late with the former job, or with one that was never reserved, hides nothing.
    for late in (job._replace(ansible_job_id="j1.1", state="failed"), job._replace(ansible_job_id="j1.1"), job):
        refused(storage, key, late, token)
    assert storage.get(key).document["ansible_job_id"] == "j2.2"

    for bad in ("", "x" * 201, "ü" * 101):
        try:
            storage.get(JobKey("web1", "A play", bad))
            raise SystemExit("took the name %r" % bad)
        except InvalidName:
            pass
    print("kept every promise")


def refused(storage, key, job, token) -> None:
    try:
        operations.save(storage, key, job, token)
        raise SystemExit("took %s in place of %s" % (job, storage.get(key).document))
    except operations.Refused:
        pass


def listed(storage, host=None, playbook_name=None) -> list[str]:
    found, unreadable = operations.select(storage.list(host, playbook_name), None, [], 0)
    assert not unreadable
    return sorted(stored.document["job_name"] for stored in found)


if __name__ == "__main__":
    main()
