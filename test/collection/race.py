"""
Controllers that race for the same jobs, through the code that the roles use. Each is a process of its own.

    race.py SETTINGS ROUNDS CONTROLLERS       prints, for each round, how many got what they raced for
"""

import json
import multiprocessing
import sys
import time

from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import OPTIONS, Connection, open_storage

PATIENCE = 120


def main() -> None:
    settings = {name: option.get("default") for name, option in OPTIONS.items()} | json.loads(sys.argv[1])
    rounds, controllers = int(sys.argv[2]), int(sys.argv[3])
    fork = multiprocessing.get_context("fork")
    gate, wins = fork.Barrier(controllers), fork.Queue()
    racers = [fork.Process(target=race, args=(settings, rounds, gate, wins), daemon=True) for _ in range(controllers)]
    for racer in racers:
        racer.start()
    # One that fails says why by itself, and keeps the others waiting.
    won = [wins.get(timeout=PATIENCE) for _ in range(3 * rounds * controllers)]
    for racer in racers:
        racer.join()
    for what in ("reserve", "void", "rerun"):
        print(json.dumps({what: [sum(win for at, r, win in won if (at, r) == (what, i)) for i in range(rounds)]}))


def race(settings, rounds, gate, wins) -> None:
    storage = open_storage(settings, Connection("localhost,"))
    for number in range(rounds):
        key = JobKey("localhost", "race", "job %d" % number)
        # A new name; a reservation that can't be used any more; a job that has finished.
        won(wins, "reserve", number, reserve(storage, key, gate))
        gate.wait()
        first = storage.get(key).document
        won(wins, "void", number, reserve(storage, key, gate, void_token=first["reservation"]["token"]))
        gate.wait()
        second = storage.get(key).document
        job = operations.Job("j%d.1" % number, "~/.ansible_async", "successful", {})
        operations.save(storage, key, job, second["reservation"]["token"])
        gate.wait()
        won(wins, "rerun", number, reserve(storage, key, gate, former_job_id=job.ansible_job_id))


def reserve(storage, key, gate, **replaced):
    gate.wait()
    return operations.reserve(storage, key, operations.Wish("/async", 60, {}, **replaced))


def won(wins, what, number, reservation) -> None:
    wins.put((what, number, reservation.token is not None))


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print("%.1f s" % (time.monotonic() - started), file=sys.stderr)
