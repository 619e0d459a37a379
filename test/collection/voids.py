"""Prepares for reservations where old ones can't be removed: voids.py FOLDER"""

import os
import sys

from ansible_collections.rstyczynski.ansible.plugins.modules import async_job_claim

[folder] = sys.argv[1:]
for name in "ab":
    path = os.path.join(folder, name * 32)
    open(path, "w").close()
    os.utime(path, (0, 0))


def unlink(path, remove=os.unlink):
    remove(path)
    raise PermissionError(path)


os.unlink = unlink
print(async_job_claim.prepare(folder), os.listdir(folder))
