"""Puts among documents in files what is none of them, unreadable.py SETTINGS. What is believed all the same is an AssertionError."""

import json
import sys
from pathlib import Path

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.document import UnreadableDocument
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.storage import StorageError

settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
storage = open_storage(settings, Connection("localhost,"))
job = operations.Job("j1.1", "~/d", "running", {})
operations.save(storage, JobKey("h", "p", "good"), job, None)
operations.reserve(storage, JobKey("h", "p", "reserved"), operations.Wish("/async", 60, {}))
folder = Path(settings["root"]) / "h" / "p"
good, reserved = ((folder / ("%s.json" % name)).read_text() for name in ("good", "reserved"))


def changed(text: str, name: str, **changes: object) -> str:
    return json.dumps({**json.loads(text), "job_name": name, **changes})


bad = {
    "copied": good,
    "surrogate": changed(good, "\ud800"),
    "deep": "[" * 100_000,
    "no_name": changed(good, "no_name", host=None),
    "no_time": changed(good, "no_time", saved_at="yesterday"),
    "no_end": changed(reserved, "no_end", reservation={**json.loads(reserved)["reservation"], "expires_at": None}),
    "no_reservation": changed(reserved, "no_reservation", reservation=None),
}
for name, text in bad.items():
    (folder / ("%s.json" % name)).write_text(text)
    try:
        raise SystemExit("%s: took %s" % (name, storage.get(JobKey("h", "p", name))))
    except UnreadableDocument as error:
        print(error)
selected, unreadable = operations.select(storage.list("h", None), None, [], 0)
assert sorted(one.document["job_name"] for one in selected) == ["good", "reserved"] and len(unreadable) == len(bad)

(Path(settings["root"]) / "file").write_text("")
try:
    raise SystemExit("took %s" % storage.get(JobKey("file", "p", "j")))
except StorageError as error:
    print(error)
print("believed none of them")
