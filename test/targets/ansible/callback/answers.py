"""Each task's result as a line of JSON in the file ANSWERS."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: answers
type: stdout
short_description: results as lines of JSON
description: results as lines of JSON
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "answers"

    def v2_runner_on_ok(self, result):
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._write("unreachable", result)

    def _write(self, status, result):
        line = {"host": result._host.get_name(), "task": result._task.get_name(), "status": status, "result": result._result}
        with open(os.environ["ANSWERS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
