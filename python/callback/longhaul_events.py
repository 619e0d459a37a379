"""A line of JSON for everything that happens in a playbook, written at once."""

import json
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: longhaul_events
type: notification
short_description: events of a run as JSON lines
description: Writes each event of a playbook run to the attempt folder, for progress, events and statistics.
"""

MESSAGE_CHARACTERS = 2000


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "longhaul_events"
    CALLBACK_NEEDS_ENABLED = False

    #: Where the lines go (set by run_playbook.py), and the recap, kept for the result.
    lines = None
    stats = {}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._sequence = 0

    def _write(self, event, **fields):
        if self.lines is None:
            return
        self._sequence += 1
        record = {"seq": self._sequence, "event": event, "at": time.time(), **fields}
        self.lines.append(json.dumps(record, default=str).encode() + b"\n")

    def _result(self, event, result, **fields):
        outcome = result._result
        message = outcome.get("msg")
        self._write(
            event,
            host=result._host.get_name(),
            task=result._task.get_name(),
            changed=bool(outcome.get("changed")),
            rc=outcome.get("rc"),
            message=str(message)[:MESSAGE_CHARACTERS] if message is not None else None,
            **fields,
        )

    def v2_playbook_on_start(self, playbook):
        self._write("playbook_start")

    def v2_playbook_on_play_start(self, play):
        self._write("play_start", play=play.get_name())

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write("task_start", task=task.get_name())

    def v2_playbook_on_handler_task_start(self, task):
        self._write("task_start", task=task.get_name(), handler=True)

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result, ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)

    def v2_playbook_on_stats(self, stats):
        type(self).stats = {host: stats.summarize(host) for host in stats.processed}
        self._write("stats", hosts=type(self).stats)
