"""Tries everything, or what is named, with a storage that can't be used, and prints what it says: refused.py SETTINGS [NAME ...]"""

import json
import sys

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import longhaul, operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.storage import StorageError

KEY = JobKey("h", "p", "j")
JOB = operations.Job("j1.1", "~/d", "running", {})
TRIED = {
    "get": lambda storage: storage.get(KEY),
    "save": lambda storage: operations.save(storage, KEY, JOB, None),
    "remove": lambda storage: storage.delete(KEY, "1"),
    "list": lambda storage: list(storage.list("h", "p")),
}

longhaul.PATIENCE = 0.1
settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
for name in sys.argv[2:] or TRIED:
    try:
        sys.exit("%s was taken for done: %s" % (name, TRIED[name](open_storage(settings, Connection("localhost,")))))
    except StorageError as error:
        print("%s: %s" % (name, error))
