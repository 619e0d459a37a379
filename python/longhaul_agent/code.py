"""The code that our modules need on a host."""

import hashlib
import importlib
import json
import os
import sys

from longhaul_agent.on_host import MARK

PYTHON = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = "longhaul_attempt"
#: What is called there: the verbs, and by them in a process of its own what starts a task.
ENTRIES = (f"{PACKAGE}.target.verbs", f"{PACKAGE}.target.launching")


class Code:
    """`name` stands for its content."""

    def __init__(self):
        for entry in ENTRIES:
            importlib.import_module(entry)
        modules = [module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE]
        self.files = {os.path.relpath(module.__file__, PYTHON): _read(module.__file__) for module in modules}
        self.name = hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()[:32]
        self.on_host = _read(os.path.join(PYTHON, "longhaul_agent", "on_host.py"))
        #: The line of its answer begins with it.
        self.mark = MARK


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
