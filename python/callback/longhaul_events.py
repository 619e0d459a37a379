"""A line of JSON for everything that happens in a playbook, written at once.

Each begins with `seq` and `event`, is at most some 16 KiB long, and has the whole truth of progress at its time: `done` and,
where it can be estimated, `todo` (units of work: one task on one host). Once a host has failed, what it had before it falls away;
`known` is what there was in all before. So a lost line loses nothing but itself.
"""

import json
import time

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: longhaul_events
type: notification
short_description: events of a run as JSON lines
description: Writes each event of a playbook run to the attempt folder, for progress, events and statistics.
"""

MESSAGE_CHARACTERS = 2000
NAME_CHARACTERS = 300
FAILURE_CHARACTERS = 500
HOSTS_PER_LINE = 50


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "longhaul_events"
    CALLBACK_NEEDS_ENABLED = False

    #: Where the lines go, and what counts the work (set by run_playbook.py); and for the result, the recap, what was set with
    #: `set_stats` for no single host, and the first failure that cost a host the rest of its play.
    lines = None
    work = None
    stats = {}
    set_stats = {}
    failure = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._sequence = 0
        self._total = None
        self._known = None
        self._failed_item = None
        self._meta = None
        self._lost = None

    def v2_playbook_on_start(self, playbook):
        self.work.playbook(playbook)
        self._write("playbook_start", plays=len(playbook.get_plays()))

    def v2_playbook_on_play_start(self, play):
        hosts = self.work.play(play)
        self._write("play_start", play=_name(play.get_name()), hosts=hosts)

    def v2_playbook_on_no_hosts_matched(self):
        self._write("no_hosts_matched")

    def v2_playbook_on_no_hosts_remaining(self):
        self._write("no_hosts_remaining")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._task_starts(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._task_starts(task, handler=True)

    def v2_playbook_on_include(self, included_file):
        hosts = len(included_file._hosts)
        self._write("include", task=_name(included_file._task.get_name()), file=_name(included_file._filename), hosts=hosts)

    def v2_runner_item_on_ok(self, result):
        self._item("ok", result)

    def v2_runner_item_on_failed(self, result):
        self._item("failed", result)

    def v2_runner_item_on_skipped(self, result):
        self._item("skipped", result)

    def v2_runner_retry(self, result):
        attempts, retries = (result._result.get(key) for key in ("attempts", "retries"))
        self._write("retry", **_who(result), attempts=_whole(attempts), retries=_whole(retries))

    def v2_runner_on_ok(self, result):
        self.work.answered(result, included=True)
        self._result("ok", result, **_includes(result))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.work.answered(result)
        rescued = False if ignore_errors else bool(self.work.rescued(result))
        if not ignore_errors and not rescued:
            self._host_is_lost("failed", result)
        self._result("failed", result, ignored=bool(ignore_errors), rescued=rescued)

    def v2_runner_on_unreachable(self, result):
        ignored = bool(result._task.ignore_unreachable)
        self.work.answered(result)
        if not ignored:
            self.work.unreachable(result)
            self._host_is_lost("unreachable", result)
        self._result("unreachable", result, ignored=ignored)

    def v2_runner_on_skipped(self, result):
        if result._task.action in C._ACTION_META:
            return
        self.work.answered(result)
        self._result("skipped", result)

    def v2_playbook_on_stats(self, stats):
        type(self).stats = {host: stats.summarize(host) for host in stats.processed}
        type(self).set_stats = stats.custom.get("_run", {})
        hosts = list(self.stats.items())
        for start in range(0, max(1, len(hosts)), HOSTS_PER_LINE):
            part = dict(hosts[start : start + HOSTS_PER_LINE])
            self._write("stats", hosts=part, last=start + HOSTS_PER_LINE >= len(hosts))

    def _task_starts(self, task, **fields):
        hosts = self.work.task(task)
        if task.action not in C._ACTION_META:
            self._write("task_start", task=_name(task.get_name()), hosts=hosts, **fields)
        elif task._uuid != self._meta:  # told once for each host
            self._meta = task._uuid
            self._write("meta", task=_name(task.get_name()))

    def _item(self, outcome, result):
        item = result._result.get("_ansible_item_label", result._result.get("item"))
        fields = {}
        if outcome == "failed":
            fields = {"message": _message(result)}
            self._failed_item = {**_who(result), **fields}
        self._write("item", **_who(result), outcome=outcome, item=_name(item), **fields)

    def _result(self, event, result, **fields):
        outcome = result._result
        self._write(
            event,
            **_who(result),
            changed=bool(outcome.get("changed")),
            rc=_whole(outcome.get("rc")),
            message=_message(result),
            **fields,
        )

    def _host_is_lost(self, event, result):
        self._known = self._known or self._total
        if type(self).failure is not None:
            return
        who = _who(result)
        item = self._failed_item if "results" in result._result else None
        # Of a loop the result only says that some item failed.
        told = item["message"] if item and {**item, **who} == item else _message(result)
        type(self).failure = {"event": event, **who, "message": told and told[:FAILURE_CHARACTERS]}

    def _write(self, event, **fields):
        if self.lines is None:
            return
        if self.work.lost != self._lost:
            self._lost = self.work.lost
            self._write("estimate_lost", reason=_name(self._lost))
        self._sequence += 1
        record = {"seq": self._sequence, "event": event, "at": round(time.time(), 3), **fields, "done": self.work.done}
        todo = self.work.todo
        if todo is not None:
            record["todo"] = todo
            self._total = self.work.done + todo
            if self._known is not None:
                record["known"] = self._known = max(self._known, self._total)
        self.lines.append(json.dumps(record).encode() + b"\n")


def _who(result):
    return {"host": _name(result._host.get_name()), "task": _name(result._task.get_name())}


def _name(value):
    return str(value)[:NAME_CHARACTERS]


def _includes(result):
    """How often an include was one: Ansible's statistics count each item."""
    if result._task.action not in C._ACTION_ALL_INCLUDES:
        return {}
    items = result._result.get("results")
    if not isinstance(items, list):
        return {}
    return {"includes": sum(isinstance(item, dict) and not item.get("skipped") and not item.get("failed") for item in items)}


def _message(result):
    message = result._result.get("msg")
    return str(message)[:MESSAGE_CHARACTERS] if message is not None else None


def _whole(value):
    return value if isinstance(value, int) else None
