#!/usr/bin/python
# Apache License 2.0 (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: longhaul_job
short_description: Submits jobs to a Longhaul service, awaits and removes them
version_added: 1.0.0
description:
  - Has a Longhaul service run a playbook, a command or a module as a named, durable job, or watch an async job.
  - A name makes it idempotent, a job that is there under it is found, whether it runs or has finished. What that means in the
    end is decided by O(when_finished). A name that is taken by a job with another spec is an error.
  - Lost answers and restarts of the service are dealt with, the job is started once. A service that can't be reached is asked
    again for two minutes before the task fails.
author:
  - Longhaul's authors (@rstyczynski)
options:
  state:
    description:
      - V(present) submits the job, or finds it.
      - V(absent) cancels it if it has not finished, waits until nothing of it lives, and deletes it with its output.
    type: str
    choices: [present, absent]
    default: present
  url:
    description: Address of the service. Without it E(LONGHAUL_URL) counts, if that is set where the module runs.
    type: str
    default: http://127.0.0.1:8000
  token:
    description: Token for the service. Without it E(LONGHAUL_TOKEN) counts, if that is set where the module runs.
    type: str
  validate_certs:
    description: Whether the service's certificate must be valid.
    type: bool
    default: true
  wait:
    description: Whether to wait for the end of the job.
    type: bool
    default: false
  wait_timeout:
    description: Seconds after which waiting is given up, and the task fails; the job goes on. Without it there is no limit.
    type: float
  fail_on_failure:
    description: Whether the task fails if the job has failed or was canceled.
    type: bool
    default: true
  kill:
    description: With O(state=absent), whether the processes of an adopted job are ended too.
    type: bool
    default: false
  job_id:
    description:
      - The job to remove, with O(state=absent) only, as the service has it, C(<playbook_name>:<name>).
      - Else it is known by O(name) together with O(playbook_name), or with what it runs.
    type: str
  name:
    description: Name of the job, unique with O(playbook_name). Without it every call is a new job.
    type: str
  playbook_name:
    description: First part of the job's id. Without it the service makes it from the playbook's path, or takes the kind of job.
    type: str
  playbook:
    description: A playbook below the service's playbooks folder.
    type: str
  command:
    description: A command for O(hosts), as a line for the shell, or as a list of arguments, which no shell sees.
    type: raw
  task:
    description: A module for O(hosts).
    type: dict
    suboptions:
      module:
        description: Its name.
        type: str
        required: true
      args:
        description: Its arguments.
        type: dict
        default: {}
  adopt:
    description: An async job that somebody has started, to be watched.
    type: dict
    suboptions:
      host:
        description: Its host.
        type: str
        required: true
      ansible_job_id:
        description: Its id.
        type: str
        required: true
      async_dir:
        description: The directory of its file.
        type: str
  steps:
    description: Playbooks and tasks that follow one another, as the service's API has them.
    type: list
    elements: dict
  hosts:
    description: Pattern of the hosts for O(command) or O(task).
    type: str
  inventory:
    description: A host list with a comma, a file below the service's inventories folder, or groups inline.
    type: raw
  extra_vars:
    description: Variables. Templates in them are evaluated by this playbook, not by the job.
    type: dict
  limit:
    description: Limits the hosts of O(playbook).
    type: str
  tags:
    description: Only these tags of O(playbook).
    type: list
    elements: str
  skip_tags:
    description: Not these tags of O(playbook).
    type: list
    elements: str
  forks:
    description: As C(ansible-playbook --forks).
    type: int
  check:
    description: As C(ansible-playbook --check).
    type: bool
  diff:
    description: As C(ansible-playbook --diff).
    type: bool
  verbosity:
    description: How many C(-v) it gets.
    type: int
  become:
    description: Whether the job becomes another user.
    type: bool
  async_dir:
    description: Where O(command) or O(task) keeps its files on the hosts.
    type: str
  cleanup:
    description: Whether these are removed at the end.
    type: bool
  timeout:
    description: Seconds after which the job's processes are killed.
    type: float
  unreachable_after:
    description: Seconds without contact after which a host is given up.
    type: float
  retry:
    description: When to try again, with C(max_attempts), C(backoff) and C(on).
    type: dict
  on_node_lost:
    description: What to do when the job's node stays away.
    type: str
    choices: [wait, fail, rerun]
  priority:
    description: From 1, which is served first, to 5.
    type: int
  labels:
    description: Labels.
    type: list
    elements: str
  workspace:
    description: A grouping of jobs.
    type: str
  metadata:
    description: Anything that is worth keeping with the job.
    type: dict
  ttl:
    description: Seconds for which the job is kept after its end.
    type: float
  when_finished:
    description: What submitting a name again does once its job has finished.
    type: str
    choices: [return, rerun, rerun_if_failed]
    default: return
attributes:
  check_mode:
    description: In check mode nothing is sent that changes anything. That a name is taken by another spec can't be foreseen.
    support: full
"""

EXAMPLES = r"""
- name: Have the nightly backup run, and wait for it
  rstyczynski.ansible.longhaul_job:
    playbook: backup.yml
    name: nightly-{{ '%Y-%m-%d' | ansible.builtin.strftime }}
    wait: true

- name: Run a long command on each web server, exactly once
  rstyczynski.ansible.longhaul_job:
    command: /opt/app/reindex --all
    hosts: web
    inventory: production
    name: reindex
    when_finished: rerun_if_failed
    wait: true
    wait_timeout: 7200

- name: Cancel it, and forget it
  rstyczynski.ansible.longhaul_job:
    job_id: task:reindex
    state: absent
"""

RETURN = r"""
job_id:
  description: The job's handle.
  returned: always, but for a job without a name in check mode
  type: str
run_id:
  description: Its run.
  returned: with O(state=present), if there is one
  type: str
created:
  description: Whether the run began with this call.
  returned: with O(state=present)
  type: bool
status:
  description: How the job is.
  returned: with O(state=present), if there is one
  type: str
  sample: successful
job:
  description: The job's document, as the service's API has it.
  returned: with O(state=present), if there is one
  type: dict
"""

import re

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.rstyczynski.ansible.plugins.module_utils import service_job
from ansible_collections.rstyczynski.ansible.plugins.module_utils.longhaul_api import Api, ServiceError

JOB_ID = re.compile(r"[^:/\s]+:[^:/\s]+\Z")
WORK = ["playbook", "command", "task", "adopt", "steps"]
STRINGS = ["name", "playbook_name", "playbook", "hosts", "limit", "async_dir", "workspace"]
LISTS = ["tags", "skip_tags", "labels"]
DICTS = ["extra_vars", "retry", "metadata"]
INTEGERS = ["forks", "verbosity", "priority"]
NUMBERS = ["timeout", "unreachable_after", "ttl"]
BOOLEANS = ["check", "diff", "become", "cleanup"]

SPEC = dict(
    command={"type": "raw"},
    inventory={"type": "raw"},
    task={
        "type": "dict",
        "options": {"module": {"type": "str", "required": True}, "args": {"type": "dict", "default": {}}},
    },
    adopt={
        "type": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "ansible_job_id": {"type": "str", "required": True},
            "async_dir": {"type": "str"},
        },
    },
    steps={"type": "list", "elements": "dict"},
    on_node_lost={"type": "str", "choices": ["wait", "fail", "rerun"]},
    when_finished={"type": "str", "choices": ["return", "rerun", "rerun_if_failed"], "default": "return"},
    **{name: {"type": "str"} for name in STRINGS},
    **{name: {"type": "list", "elements": "str"} for name in LISTS},
    **{name: {"type": "dict"} for name in DICTS},
    **{name: {"type": "int"} for name in INTEGERS},
    **{name: {"type": "float"} for name in NUMBERS},
    **{name: {"type": "bool"} for name in BOOLEANS},
)
CALL = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "url": {"type": "str", "fallback": (env_fallback, ["LONGHAUL_URL"]), "default": "http://127.0.0.1:8000"},
    "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["LONGHAUL_TOKEN"])},
    "validate_certs": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float"},
    "fail_on_failure": {"type": "bool", "default": True},
    "kill": {"type": "bool", "default": False},
    "job_id": {"type": "str"},
}


def main():
    module = AnsibleModule(
        argument_spec={**CALL, **SPEC},
        supports_check_mode=True,
        mutually_exclusive=[WORK, ["job_id", "name"]],
        required_if=[("state", "absent", ["name", "job_id"], True), ("state", "present", WORK, True)],
    )
    params = module.params
    mistake = mistake_in(params)
    if mistake is not None:
        module.fail_json(msg=mistake)
    try:
        api = Api(params["url"], params["token"], params["validate_certs"])
        if params["state"] == "absent":
            module.exit_json(**absent(module, api))
        result = present(module, api)
    except service_job.Refused as error:
        module.fail_json(msg="the service refuses: %s" % error, status_code=error.status, problem=error.body)
    except ServiceError as error:
        module.fail_json(msg=str(error))
    failure = None if module.check_mode else failure_of(params, result)
    if failure is not None:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


def mistake_in(params):
    """What is wrong with how the job is named; None if nothing is."""
    job_id = params["job_id"]
    if params["state"] == "present":
        return None if job_id is None else "job_id is for state=absent: a job that is submitted is known by its name"
    if job_id is None and not any(params[name] for name in [*WORK, "playbook_name"]):
        return "a name alone is no job: give job_id; or, with name, the playbook_name (task, say) or what it runs"
    if job_id is not None and not JOB_ID.match(job_id):
        return "no job_id, such as task:reindex: %s" % job_id
    return None


def present(module, api):
    spec = spec_of(module.params)
    if module.check_mode:
        return foreseen(api, spec)
    submitted = service_job.submit(api, spec)
    seconds = module.params["wait_timeout"] if module.params["wait"] else 0
    job = service_job.wait(api, submitted.job_id, submitted.run_id, seconds)
    return {"changed": submitted.created, "created": submitted.created, **about(job)}


def foreseen(api, spec):
    """What would happen."""
    job_id = service_job.job_id_of(spec)
    found = None if job_id is None else service_job.find(api, job_id)
    starts = service_job.would_start(found, spec["when_finished"])
    named = {} if job_id is None else {"job_id": job_id}
    return {"changed": starts, "created": starts, **named, **({} if found is None or starts else about(found))}


def absent(module, api):
    job_id = module.params["job_id"] or service_job.job_id_of(spec_of(module.params))
    if module.check_mode:
        return {"changed": service_job.find(api, job_id) is not None, "job_id": job_id}
    removed = service_job.remove(api, job_id, module.params["kill"], module.params["wait_timeout"])
    return {"changed": removed, "job_id": job_id}


def about(job):
    return {"job_id": job["job_id"], "run_id": job["run_id"], "status": job["status"], "job": job}


def failure_of(params, result):
    """Why the task has failed; None if it has not."""
    status = result.get("status")
    if status in ("failed", "canceled") and params["fail_on_failure"]:
        return "%s: %s" % (result["job_id"], result["job"]["error"])
    if params["wait"] and status is not None and status not in service_job.FINISHED:
        return "%s is still %s after %g s" % (result["job_id"], status, params["wait_timeout"] or 0)
    return None


def spec_of(params):
    """What is sent to the service: what was given."""
    spec = {name: params[name] for name in SPEC if params[name] is not None}
    if "adopt" in spec:
        spec["adopt"] = {name: value for name, value in spec["adopt"].items() if value is not None}
    return spec


if __name__ == "__main__":
    main()
