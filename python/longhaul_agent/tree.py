"""The processes of a request: its fork, the workers that Ansible forks from that, and what these have started.

They are known by their sessions. What has left these sessions (a launched task, an ssh ControlPersist master, a daemon)
is not the request's any more, and lives on. The fork's and the workers' sessions are on record as files in the request's
folder, `session.PID.START.UNTIL`, so that they are found whoever of them died first.
"""

import os
import signal
import time

from longhaul_attempt import processes

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.02


def now_ticks():
    """The time as /proc/PID/stat counts it."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS)


def put_on_record(folder, until):
    """Called by a process that leads, or is about to lead, a session of this request."""
    start = processes.identity(os.getpid())["start"]
    name = os.path.join(folder, "session.%d.%d.%d" % (os.getpid(), start, until))
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600))
    return name


def take_off_record(name):
    """Called by the same process at its natural end: what it has left running is meant to."""
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass  # the whole folder is gone


def is_led(folder):
    """Whether a process lives that is on record here: at a natural end, one that was meant to end as well."""
    here = {"boot": processes.boot_id(), "pidns": processes.pid_namespace()}
    return any(processes.alive({"pid": pid, "start": start, **here}) for pid, start, _ in _leaders(folder))


def members(folder, snapshot):
    """The living processes of the request with this folder."""
    found = {}
    for leader in _leaders(folder):
        for process in _of_session(*leader, snapshot):
            found[process.pid] = process
    return list(found.values())


def _leaders(folder):
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        kind, *numbers = name.split(".")
        if kind == "session" and len(numbers) == 3 and all(number.isdigit() for number in numbers):
            yield tuple(map(int, numbers))


def _of_session(pid, start, until, snapshot):
    leader = snapshot.all.get(pid)
    if leader is not None and leader.start != start:
        return  # the pid, and with it the session's id, came back as somebody else's
    for process in snapshot.all.values():
        ours = process.pid == pid or (process.session == pid and process.start >= start)
        # With the leader gone, the id could have come back. Not that soon: its time limit ended the request long before.
        if ours and (leader is not None or process.start <= until):
            yield process


def kill(found):
    """KILL exactly these. TERM would let a worker of Ansible go on for a while."""
    for process in found:
        processes.send(process, signal.SIGKILL)


def end(folder, patience):
    """End all processes of a request but the caller. Returns those that live on after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        left = [process for process in members(folder, processes.Snapshot()) if process.pid != os.getpid()]
        if not left or time.monotonic() > deadline:
            return left
        kill(left)
        time.sleep(LOOK_SECONDS)
