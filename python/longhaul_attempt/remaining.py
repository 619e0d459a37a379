"""What is left of a play for the hosts that run it now.

What a host does next is decided by Ansible's PlayIterator, which knows of failures, rescues, includes, tags and handlers.
So what is left is read from its states, and nothing of that is decided a second time here.
"""

import time

from ansible import constants as C
from ansible.executor.play_iterator import FailedStates, IteratingStates
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude

from longhaul_attempt.forecast import Forecast

#: Actions that run for the first host only, whatever the task says.
ONCE_ACTIONS = {prefix + name for prefix in ("", "ansible.builtin.", "ansible.legacy.") for name in ("add_host", "pause")}
#: Of the time that passes, the share that may go into looking at all hosts where each goes at its own pace.
SHARE_OF_TIME = 0.05
#: Validating the play's arguments comes with ansible-core 2.20.
BEFORE_TASKS = {IteratingStates.SETUP, getattr(IteratingStates, "VALIDATE", IteratingStates.SETUP)}
REMEMBERED_BLOCKS = 10_000


class Remaining:
    """The hosts of one batch. `left`: the units that they have before them, those under way included."""

    def __init__(self, iterator):
        self.left = 0.0
        self._iterator = iterator
        self._left = dict.fromkeys(iterator.host_states, 0.0)
        self._answered = {}
        self._unreachable = set()
        self._including = set()
        self._next_look = 0.0
        play = iterator._play
        first = next(iter(self._left), None)
        host = play._variable_manager._inventory.get_host(first) if first is not None else None
        self._units = Units(len(self._left), Forecast(play, host))
        self._repeated = repeated_blocks(iterator._blocks)
        self._together = play.strategy.rpartition(".")[2] in ("linear", "debug")
        self._look_at_all()

    def task(self, task):
        """A task begins. Returns how many hosts it is for; None where each goes at its own pace."""
        if self._together or time.monotonic() >= self._next_look:
            self._look_at_all()
        else:
            for host in self._including:
                self._look_at(host)
        self._including.clear()
        if not self._together:
            return None
        given = (self._task_of(host) for host in self._left)
        hosts = sum(other is not None and other._uuid == task._uuid for other in given)
        return min(hosts, 1) if is_once(task) else hosts

    def answered(self, host, task, included):
        """A host is done with a task. `included`: it was an include, and brought something."""
        if host not in self._left:
            return
        self._answered[host] = task._uuid
        if included:
            # What it includes is in the host's state by the next task; until then the forecast stands.
            self._set(host, self._left[host] - 1)
            self._including.add(host)
        else:
            self._look_at(host)

    def drop(self, host):
        """The host can't be reached: nothing more is asked of it in this play."""
        self._unreachable.add(host)
        if host in self._left:
            self._set(host, 0.0)

    def has_failed(self, host):
        """Whether a failure ended the play for a host, as far as no `always` is left."""
        return self._iterator._check_failed_state(self._iterator.host_states[host])

    def _look_at_all(self):
        began = time.monotonic()
        for host in self._left:
            self._look_at(host)
        ended = time.monotonic()
        self._next_look = ended + (ended - began) / SHARE_OF_TIME

    def _look_at(self, host):
        if host in self._unreachable:
            return self._set(host, 0.0)
        state = self._iterator.host_states[host]
        left = len(state.handler_notifications) + self._left_of(state, host)
        task = self._task_of(host)
        if task is not None and self._answered.get(host) != task._uuid:
            left += self._units.of(task)
        self._set(host, left)

    def _set(self, host, left):
        self.left += max(0.0, left) - self._left[host]
        self._left[host] = max(0.0, left)

    def _left_of(self, state, host):
        """The units that come after the task that a host was given last."""
        run, left = state.run_state, 0.0
        if run == IteratingStates.HANDLERS:
            left = self._handlers_left(state, host)
            run = state.pre_flushing_run_state
        if run == IteratingStates.COMPLETE or state.cur_block >= len(state._blocks):
            return left
        if run in BEFORE_TASKS:
            gathering = 0 if _gathers(state) or not state._blocks[0].has_tasks() else gathers_facts(self._iterator._play)
            return left + gathering + self._later_blocks(state)
        return left + self._left_of_block(state, run, host)

    def _left_of_block(self, state, run, host):
        block = state._blocks[state.cur_block]
        always, later = self._units.after(block, "always", 0), self._later_blocks(state)
        if run == IteratingStates.ALWAYS:
            left, failed = self._left_of_child(state.always_child_state, host)
            left += self._units.after(block, "always", state.cur_always_task)
            return left if failed or state.fail_state != FailedStates.NONE else left + later
        if run == IteratingStates.RESCUE:
            left, failed = self._left_of_child(state.rescue_child_state, host)
            return left + always + (0 if failed else self._units.after(block, "rescue", state.cur_rescue_task) + later)
        left, failed = self._left_of_child(state.tasks_child_state, host)
        if not failed:
            return left + self._units.after(block, "block", state.cur_regular_task) + always + later
        return left + always + (self._units.after(block, "rescue", 0) + later if block.rescue else 0)

    def _left_of_child(self, state, host):
        if state is None:
            return 0.0, False
        return self._left_of(state, host), self._iterator._check_failed_state(state)

    def _later_blocks(self, state):
        later = state._blocks[state.cur_block + 1 :]
        return sum(self._units.of(block) for block in later if id(block) not in self._repeated)

    def _handlers_left(self, state, host):
        handlers = self._iterator.handlers if state.update_handlers else state.handlers
        notified = [task for task in handlers[state.cur_handlers_task :] if any(h.name == host for h in task.notified_hosts)]
        return sum(map(self._units.of, notified))

    def _task_of(self, host):
        """The task that a host was given last, if its state still tells."""
        state = self._iterator.get_active_state(self._iterator.host_states[host])
        if state.run_state == IteratingStates.HANDLERS:
            given, count = state.handlers, state.cur_handlers_task
        elif state.run_state == IteratingStates.COMPLETE or state.cur_block >= len(state._blocks):
            return None
        elif state.run_state in BEFORE_TASKS:
            given, count = state._blocks[0].block, 1 if _gathers(state) else 0
        else:
            block = state._blocks[state.cur_block]
            given, count = {
                IteratingStates.TASKS: (block.block, state.cur_regular_task),
                IteratingStates.RESCUE: (block.rescue, state.cur_rescue_task),
                IteratingStates.ALWAYS: (block.always, state.cur_always_task),
            }[state.run_state]
        task = given[count - 1] if 0 < count <= len(given) else None
        return None if isinstance(task, Block) else task


class Units:
    """What tasks and blocks are worth for one of `hosts` hosts. Tasks of a rescue count only once that is entered."""

    def __init__(self, hosts, forecast, counts=lambda task: True):
        self._counts = counts
        self._hosts = hosts
        self._forecast = forecast
        self._includes = {}
        self._sums = {}

    def of(self, part):
        if isinstance(part, Block):
            return self.after(part, "block", 0) + self.after(part, "always", 0)
        if part.action in C._ACTION_META or not self._counts(part):
            return 0
        each = 1 / self._hosts if is_once(part) else 1
        return each * (1 + self._included_by(part)) if isinstance(part, TaskInclude) else each

    def after(self, block, section, done):
        """The units of a block's section after its first `done` tasks."""
        key = (id(block), section)
        known, sums = self._sums.get(key, (None, None))
        tasks = getattr(block, section)
        if known is not block or len(sums) != len(tasks) + 1:
            sums = [0.0]
            for part in reversed(tasks):
                sums.append(sums[-1] + self.of(part))
            sums.reverse()
            if len(self._sums) > REMEMBERED_BLOCKS:
                self._sums.clear()
            self._sums[key] = (block, sums)
        return sums[min(done, len(tasks))]

    def _included_by(self, task):
        if task._uuid not in self._includes:
            self._includes[task._uuid] = self._forecast.of(task)
        return self._includes[task._uuid]


def repeated_blocks(blocks):
    """The ids of blocks whose role a host has run by then: such a role, of two that depend on it, runs once."""
    seen, repeated = set(), set()
    for block in blocks:
        roles = ((task, task._role) for task in block.get_tasks() if task._role and task.action not in C._ACTION_META)
        tasks = {task._uuid for task, role in roles if role._metadata and role._metadata.allow_duplicates is False}
        if tasks and tasks <= seen:
            repeated.add(id(block))
        seen |= tasks
    return repeated


def _gathers(state):
    """Whether a host that has not begun with its tasks was given the gathering of facts."""
    return state.run_state != IteratingStates.SETUP or getattr(state, "pending_setup", False)


def is_once(task):
    return task.run_once is True or task.action in ONCE_ACTIONS


def gathers_facts(play):
    """1 if a play begins with gathering facts, else 0. That facts may be known already is left out."""
    wanted = play.gather_facts
    if C.DEFAULT_GATHERING == "explicit":
        return int(boolean(wanted, strict=False)) if wanted is not None else 0
    return 1 if wanted is None else int(boolean(wanted, strict=False))
