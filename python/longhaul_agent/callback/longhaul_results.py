"""Answers each task's result, whole. Tasks are named by their numbers."""

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: longhaul_results
type: stdout
short_description: results of tasks for the agent
description: Hands each task's result to the agent that runs it, and shows nothing.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "longhaul_results"

    #: Takes a task's number, status and result (set by run.py).
    answer = None

    def v2_runner_on_ok(self, result):
        self._answer("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._answer("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._answer("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._answer("skipped", result)

    def _answer(self, status, result):
        own = {name: value for name, value in result.result.items() if name != "invocation" and not name.startswith("_ansible_")}
        if status == "failed":
            own["failed"] = True  # the event says so, and Ansible has removed it
        type(self).answer(int(result.task.name), status, own)
