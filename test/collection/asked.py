"""Tries these with a server that is not to be taken for a service that has answered, and prints what they say: asked.py URL NAME ..."""

import sys

from ansible_collections.rstyczynski.ansible.plugins.module_utils import service_job
from ansible_collections.rstyczynski.ansible.plugins.module_utils.longhaul_api import Api, ServiceError

JOB = "task:reindex"
TRIED = {
    "find": lambda api: service_job.find(api, JOB),
    "remove": lambda api: service_job.remove(api, JOB, False, 1),
    "kill": lambda api: service_job.remove(api, JOB, True, 1),
    "submit": lambda api: service_job.submit(api, {"command": "true", "name": "reindex"}),
}

service_job.PATIENCE = 0.1
for name in sys.argv[2:]:
    try:
        sys.exit("%s was taken for done: %s" % (name, TRIED[name](Api(sys.argv[1], None))))
    except ServiceError as error:
        print("%s: %s" % (name, error))
