"""Ends and removes what an earlier agent of the same id left: forks, workers, what they started, and temporary folders.

Forks and workers have the agent's marker in /proc/PID/environ, because nothing was executed in them. What they did execute
hasn't (a launched task is meant to stay), and is found by its session.
"""

import os
import shutil
import time

from longhaul_agent import tree
from longhaul_attempt import evidence, processes

PATIENCE_SECONDS = 10.0
NOTE = "agent.json"


def note(folder, id):
    """Put on record whose folder this is, for whoever comes after us."""
    evidence.note(folder, NOTE, {"agent": id, "process": processes.identity(os.getpid())})


def end(marker):
    """End what carries our marker, and all in its sessions, but for an agent that our own parent started as well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        left = _left(marker.encode())
        if not left or time.monotonic() > deadline:
            return left
        tree.kill(left)
        time.sleep(tree.LOOK_SECONDS)


def remove(parent, id):
    """Remove the folders of dead agents below `parent`, after what is on record there has been ended."""
    for name in os.listdir(parent):
        folder = os.path.join(parent, name)
        owner = _owner(folder, id)
        if owner is None or processes.alive(owner) is not False:
            continue
        if owner["boot"] == processes.boot_id():
            for request in filter(str.isdigit, os.listdir(folder)):
                tree.end(os.path.join(folder, request), PATIENCE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _left(marker):
    snapshot = processes.Snapshot()
    ours = snapshot.carriers(marker)
    leaders = {pid for pid in ours if _first_parent(pid, ours, snapshot) != os.getppid()}
    return [process for process in snapshot.all.values() if {process.pid, process.session} & leaders]


def _first_parent(pid, ours, snapshot):
    """The parent of the first in a line of agent, fork and worker."""
    while pid in ours:
        pid = snapshot.all[pid].parent
    return pid


def _owner(folder, id):
    record = evidence.readable(folder, NOTE) or {}
    return record.get("process") if record.get("agent") == id else None
