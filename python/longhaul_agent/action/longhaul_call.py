"""Calls one of our modules on a host: {verb, args}."""

import json
import os
import re
import shlex

from ansible import constants as C
from ansible.plugins.action import ActionBase

DEFAULT_BASE = "~/.longhaul/tasks"
PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+-]+\Z")


class ActionModule(ActionBase):
    #: What is kept on hosts (code.Code), set by the engine.
    code = None

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        verb, args = self._task.args["verb"], self._task.args["args"]
        answer = self._answer_of_code_there(verb, args, task_vars)
        if answer is not None:
            return {**result, "changed": False, **answer}
        # As for any module: it is sent whole, and what is wrong with the host is said as people know it.
        return {**result, **self._execute_module(module_name=verb, module_args=args, task_vars=task_vars)}

    def _answer_of_code_there(self, verb, args, task_vars):
        """None where that is not to be had. Every verb may be repeated."""
        python, base = self._python(task_vars), _base(args)
        if python is None or base is None or not self._is_pipelining_enabled("new"):
            return None
        request = json.dumps({"verb": verb, "args": args})
        said = self._said(python, base, "null", request)
        if said.get("missing"):
            said = self._said(python, base, json.dumps(self.code.files), request)
        return said.get("answer")

    def _python(self, task_vars):
        """The host's Python, if it is known and simply a file."""
        python = C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars)
        python = self._templar.template(python)
        if python.startswith("auto"):
            python = (task_vars.get("ansible_facts") or {}).get("discovered_interpreter_python")
        return python if isinstance(python, str) and PLAIN_PATH.match(python) else None

    def _said(self, python, base, files, request):
        words = [python, "-I", "-S", "-c", self.code.on_host, base, self.code.name]
        done = self._low_level_execute_command(shlex.join(words), in_data=f"{files}\n{request}\n".encode())
        mark = self.code.mark
        answers = [line for line in done["stdout"].splitlines() if line.startswith(mark)]
        return json.loads(answers[-1][len(mark) :]) if done["rc"] == 0 and answers else {}


def _base(args):
    """Where the attempts are that it is about; None if it is about others' jobs alone."""
    attempts = args.get("dirs") or [job["dir"] for job in args.get("jobs", ()) if "dir" in job]
    if "base" in args:
        return args["base"] or DEFAULT_BASE
    return next(map(os.path.dirname, attempts), None)
