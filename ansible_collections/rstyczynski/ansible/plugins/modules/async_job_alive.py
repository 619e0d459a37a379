#!/usr/bin/python
# Apache License 2.0 (see LICENSE)

DOCUMENTATION = r"""
module: async_job_alive
short_description: Tells whether anything of an async job runs
version_added: 1.0.0
description:
  - Looks among the processes of a Linux host for the wrapper of a job, and for what a wrapper that has died left running.
    C(async_status) goes by the job's file alone, which says for ever that a job runs whose wrapper was killed or whose host was
    rebooted.
  - Look first here and then at the file, since what ends in between is seen there. A job of which nothing runs, and whose file
    does not say how it ended, is lost.
  - Run it as the user that the job was started as. It fails where the job is another user's, or may be.
author:
  - Longhaul's authors (@rstyczynski)
options:
  ansible_job_id:
    description: The job.
    type: str
    required: true
  async_dir:
    description: The directory of its file.
    type: str
    default: ~/.ansible_async
attributes:
  check_mode:
    description: It changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: See whether anything of it runs
  rstyczynski.ansible.async_job_alive:
    ansible_job_id: "{{ async_job_load_ansible_job_id }}"
    async_dir: "{{ async_job_load_async_dir }}"
  register: reindex_alive
"""

RETURN = r"""
alive:
  description: Whether anything of it runs. Where that can't be told apart from what another job left in the same directory, too.
  returned: always
  type: bool
pids:
  description: The processes by which that is known.
  returned: always
  type: list
  elements: int
"""

import os

from ansible.module_utils.basic import AnsibleModule

WRAPPER = b"async_wrapper.py"
THREADS = 17
MARK = b"ANSIBLE_ASYNC_DIR="


def main():
    module = AnsibleModule(
        argument_spec={
            "ansible_job_id": {"type": "str", "required": True},
            "async_dir": {"type": "str", "default": "~/.ansible_async"},
        },
        supports_check_mode=True,
    )
    try:
        pids = processes_of(module.params["ansible_job_id"], module.params["async_dir"])
    except Hidden as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="the processes of the host can't be looked at: %s" % error)
    module.exit_json(changed=False, alive=bool(pids), pids=pids)


class Hidden(Exception):
    """The job is another user's, or may be, so that nothing can be said of it."""


def processes_of(job_id, async_dir):
    """Its wrapper; and without one what it left: what has its directory in the environment, and no other job's wrapper."""
    number = os.fsencode(job_id.partition(".")[0])
    directory = plain(async_dir)
    owner = owner_of_file(os.path.join(directory, job_id))
    owners = {os.geteuid(), owner}
    wrappers, others, marked, foreign = [], set(), {}, None
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        words = words_of(pid, "cmdline")
        at = next((at for at, word in enumerate(words) if word.endswith(WRAPPER)), None)
        if at is None:
            if directory in directories_of(pid):
                marked[pid] = session_of(pid)
            continue
        of_process = owner_of_process(pid)
        if words[at + 1 : at + 2] != [number] or of_process is None:
            others.add(session_of(pid))
        elif of_process in owners:
            wrappers.append(pid)
        else:
            foreign = (pid, of_process)
    if wrappers:
        return sorted(wrappers)
    # Where its file is, it is known whose it is.
    if foreign is not None and owner is None:
        raise Hidden(
            "process %d has the number of %s and is of the user with uid %d: look as that user" % (foreign[0], job_id, foreign[1])
        )
    others |= sessions_around(os.getpid())
    # The variable is also a setting of Ansible: whoever has it from a shell is in the session of one that has it not.
    is_left = {
        pid: session not in others and (session in marked or not runs(session))
        for pid, session in marked.items()
        if session is not None
    }
    found = sorted(pid for pid, left in is_left.items() if left)
    if not found and owner is not None and not os.access(os.path.join(directory, job_id), os.R_OK):
        raise Hidden("its file can't be read, and is of the user with uid %d: look as that user" % owner)
    if not found and owner != os.geteuid() and not os.path.exists("/proc/1/stat"):
        raise Hidden("/proc hides the processes of other users, and %s may be of one: look as that user, or as root" % job_id)
    return found


def owner_of_file(path):
    """None if it is not there."""
    try:
        return os.stat(path).st_uid
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Hidden("%s can't be seen: %s. Look as the user that the job was started as" % (path, error.strerror)) from error


def owner_of_process(pid):
    """None if it has ended."""
    try:
        return os.stat("/proc/%d" % pid).st_uid
    except OSError:
        return None


def directories_of(pid):
    """What ANSIBLE_ASYNC_DIR means there. Ansible gives it as it was given, with a ~."""
    values = [word[len(MARK) :] for word in words_of(pid, "environ") if word.startswith(MARK)]
    return [plain(os.fsdecode(value)) for value in values]


def plain(path):
    return os.path.normpath(os.path.expanduser(path))


def sessions_around(pid):
    """Those of a process and of all that it descends from."""
    sessions = set()
    while pid > 1:
        sessions.add(session_of(pid))
        pid = int(status_of(pid)[1])
    return sessions


def runs(pid):
    """What has ended stays as a zombie where nobody waits for it, as in many containers; so does a main thread beside others."""
    fields = status_of(pid)
    return fields[0] not in (b"Z", b"X") or (fields[0] == b"Z" and int(fields[THREADS]) > 1)


def status_of(pid):
    """Its state, its parent and so on (proc(5), stat, from the third field)."""
    return b"\0".join(words_of(pid, "stat")).rpartition(b")")[2].split() or [b"X", b"0"]


def words_of(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []  # it has ended, or is somebody else's


def session_of(pid):
    """None if it has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


if __name__ == "__main__":
    main()
