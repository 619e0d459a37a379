# Apache License 2.0 (see LICENSE)

DOCUMENTATION = r"""
module: async_job_state
short_description: Reads and writes the state documents of async jobs
version_added: 1.0.0
description:
  - What the roles of this collection rest on. Use the roles.
  - It runs on the controller, with the Python that runs C(ansible-playbook), whichever host the task is for.
author:
  - Longhaul's authors (@rstyczynski)
options:
  operation:
    description: What to do.
    type: str
    required: true
    choices: [load, reserve, save, recover, list, remove]
  storage:
    description: Backend and settings, as the roles have them.
    type: dict
    required: true
  host:
    description: Host of the job.
    type: str
  host_variable:
    description: Variable that a role has its host in, and leaves as a result too.
    type: str
  playbook_name:
    description: Playbook of the job.
    type: str
  job_name:
    description: Name of the job.
    type: str
  ansible_job_id:
    description: The job to save.
    type: str
  async_dir:
    description: Directory of the job's file; with V(reserve) the one below which it gets its own.
    type: str
  state:
    description: State to save.
    type: str
    default: running
    choices: [running, successful, failed, lost, canceled]
  metadata:
    description: Metadata to save.
    type: dict
  token:
    description: Token of the reservation that the job was started with.
    type: str
  expires_after:
    description: Seconds for which a reservation is left alone.
    type: float
    default: 300
  former_job_id:
    description: The finished job that a reservation may replace.
    type: str
  void_token:
    description: The reservation that a reservation may replace.
    type: str
  revision:
    description: The document to remove.
    type: str
  states:
    description: States to list.
    type: list
    elements: str
    default: []
    choices: [reserved, running, successful, failed, lost, canceled]
  older_than:
    description: Least age to list.
    type: str
    default: "0"
attributes:
  check_mode:
    description: Writes nothing in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Read what is recorded
  rstyczynski.ansible.async_job_state:
    operation: load
    storage:
      backend: filesystem
    host: "{{ inventory_hostname }}"
    playbook_name: "{{ ansible_play_name }}"
    job_name: reindex
"""

RETURN = r"""
document:
  description: The document that is recorded.
  returned: with load, save and reserve, if there is one
  type: dict
token:
  description: The token, if the start was reserved.
  returned: with reserve
  type: str
jobs:
  description: The documents that were asked for.
  returned: with list
  type: list
  elements: dict
removed:
  description: Whether the document was removed.
  returned: with remove
  type: bool
"""
