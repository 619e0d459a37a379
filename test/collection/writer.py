"""Records one job after the other under one name, until it is killed: writer.py SETTINGS"""

import itertools
import json
import sys

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage

settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
storage = open_storage(settings, Connection("localhost,"))
for number in itertools.count(1):
    job = operations.Job("j%d.1" % number, "~/d", "running", {"filler": "x" * 20_000, "whole": True})
    operations.save(storage, JobKey("h", "p", "j"), job, None)
