#!/usr/bin/python
# Apache License 2.0 (see LICENSE)

DOCUMENTATION = r"""
module: async_job_claim
short_description: Tells, and settles, whether a reserved async job was started
version_added: 1.0.0
description:
  - The roles of this collection use it on the target host. A job that is started under a reservation gets an async
    directory of its own. Ansible makes that directory when it starts the job, so it is the evidence that the job was
    started; and where a file stands in its place, the job can't be started any more.
author:
  - Longhaul's authors (@rstyczynski)
options:
  async_dir:
    description:
      - With O(operation=prepare) the directory below which reserved jobs get theirs, else the async directory of the one job.
    type: str
    required: true
  operation:
    description:
      - V(prepare) makes the directory and tells its absolute path.
      - V(look) tells what has become of the reservation.
      - V(void) does so too, and makes sure that a job which has not been started never will be.
    type: str
    required: true
    choices: [prepare, look, void]
attributes:
  check_mode:
    description: Changes nothing in check mode.
    support: full
"""

EXAMPLES = r"""
- name: See what became of a reservation
  rstyczynski.ansible.async_job_claim:
    async_dir: "{{ async_job_reserve_async_dir }}"
    operation: look
"""

RETURN = r"""
async_dir:
  description: The directory as an absolute path.
  returned: always
  type: str
claim:
  description: Whether the job was started. V(open) if not, V(void) if it never will be; V(unclear) if that can't be told.
  returned: with O(operation=look) and O(operation=void)
  type: str
ansible_job_id:
  description: The job, with RV(claim) V(started).
  returned: with O(operation=look) and O(operation=void)
  type: str
reason:
  description: What makes it V(unclear).
  returned: with O(operation=look) and O(operation=void)
  type: str
"""

import errno
import os
import re
import time
from contextlib import suppress

from ansible.module_utils.basic import AnsibleModule

JOB_FILE = re.compile(r"^j?\d+\.\d+$")
VOID_FILE = re.compile(r"^[0-9a-f]{32}$")
# No controller starts a job so long after it was reserved.
VOID_KEPT = 30 * 24 * 3600


def main():
    module = AnsibleModule(
        argument_spec={
            "async_dir": {"type": "str", "required": True},
            "operation": {"type": "str", "required": True, "choices": ["prepare", "look", "void"]},
        },
        supports_check_mode=True,
    )
    path = os.path.abspath(os.path.expanduser(module.params["async_dir"]))
    operation = module.params["operation"]
    if module.check_mode and operation == "void":
        operation = "look"
    try:
        if operation == "prepare":
            module.exit_json(async_dir=path, changed=not module.check_mode and prepare(path))
        claim, job_id, reason, changed = void(path) if operation == "void" else (*look(path), False)
    except OSError as error:
        module.fail_json(msg="can't settle what was started in %s: %s" % (path, error))
    module.exit_json(async_dir=path, claim=claim, ansible_job_id=job_id, reason=reason, changed=changed)


def prepare(base):
    """Makes the directory of the async directories; whether it was missing."""
    try:
        os.makedirs(base, 0o700)
        return True
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(base):
            raise
    remove_old_voids(base)
    return False


def remove_old_voids(base):
    for name in os.listdir(base):
        path = os.path.join(base, name)
        # Another may be at it, or it is another user's.
        with suppress(OSError):
            if VOID_FILE.match(name) and os.path.isfile(path) and os.stat(path).st_mtime < time.time() - VOID_KEPT:
                os.unlink(path)


def look(path):
    """What the async directory tells: claim, job id, reason."""
    try:
        names = os.listdir(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return "open", "", ""
        if error.errno == errno.ENOTDIR and os.path.isfile(path):
            return "void", "", ""
        return "unclear", "", "%s can't be read: %s" % (path, error.strerror)
    jobs = [name for name in names if JOB_FILE.match(name)]
    if jobs:
        return "started", min(jobs, key=lambda name: os.stat(os.path.join(path, name)).st_mtime), ""
    if names:
        return "unclear", "", "%s has no job's file, but %s" % (path, ", ".join(sorted(names)))
    return "open", "", ""


def void(path):
    """
    Puts a file where Ansible would make the directory. Of the two whoever is first wins: where Ansible has made the
    directory, but not yet written into it, it fails to write once that is gone, and starts nothing.
    """
    while True:
        claim, job_id, reason = look(path)
        if claim != "open":
            return claim, job_id, reason, False
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if error.errno != errno.ENOENT:
                raise
        if take(path):
            return "void", "", "", True


def take(path):
    """Makes the file durably; whether nothing was there."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o700)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    with os.fdopen(handle, "w") as file:
        file.write("No job is started here any more: the reservation was given up.\n")
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


if __name__ == "__main__":
    main()
