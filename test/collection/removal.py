"""Records a job and removes the record, removal.py SETTINGS. Prints whether that says it did."""

import json
import sys

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage

settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
storage = open_storage(settings, Connection("localhost,"))
key = JobKey("h", "p", "j")
document, _saved = operations.save(storage, key, operations.Job("j1.1", "~/d", "running", {}), None)
print(operations.remove(storage, key, document["revision"]), operations.remove(storage, key, document["revision"]))
