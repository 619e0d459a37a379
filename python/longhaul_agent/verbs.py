"""The work of each verb, as a fork does it, and what the agent remembers from one request to the next."""

import functools

from longhaul_agent.engine import Engine, version, watched_files
from longhaul_agent.here import here
from longhaul_agent.hosts import hosts
from longhaul_agent.interpreters import Interpreters
from longhaul_agent.inventories import Inventories
from longhaul_agent.run import run


class Verbs:
    """`settings` tells when those of Ansible have changed since it was loaded."""

    ansible_version = version

    def __init__(self, options, settings):
        self._engine = Engine(options)
        self._settings = settings
        self._settings.watch(watched_files())
        self._memories = {"inventory": Inventories(), "interpreter": Interpreters()}

    @property
    def folder(self):
        return self._engine.folder

    def are_stale(self):
        return self._settings.have_changed()

    def remember(self, kind, record):
        self._memories[kind].remember(record)

    def work_of(self, request, folder):
        """What is to be done in the fork of a request: takes its report, gives the error that it ends with, or None."""
        if request.verb == "here":
            return functools.partial(here, request.body)
        if request.verb == "hosts":
            return functools.partial(hosts, self._engine, request.body, folder)
        known = self._memories["inventory"].offer(request.body["inventory"])
        return functools.partial(run, self._engine, request.body, folder, known, self._memories["interpreter"])
