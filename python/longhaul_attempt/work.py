"""How much of a playbook is done, and how much is left as far as is known. The unit is one task on one host."""

import functools
import math

from ansible import constants as C
from ansible.executor import task_queue_manager
from ansible.executor.play_iterator import PlayIterator
from ansible.playbook.task_include import TaskInclude

from longhaul_attempt.forecast import Forecast
from longhaul_attempt.remaining import Remaining, Units, gathers_facts, repeated_blocks
from longhaul_attempt.selection import hosts_of, is_selected, makes_hosts


def estimates(method):
    """Whatever happens to an estimate, the playbook goes on; from then on there is none, and `lost` says why."""

    @functools.wraps(method)
    def harmless(self, *args):
        if self.lost is not None:
            return None
        try:
            return method(self, *args)
        except Exception as error:
            self.lost = f"{type(error).__name__}: {error}"
            return None

    return harmless


class Work:
    """Follows a playbook by what its callbacks tell. `done` is counted; `todo` is an estimate, None without one."""

    def __init__(self):
        self.done = 0
        self.lost = None
        self._included = {}
        self._gone = set()
        self._ahead = []
        self._later = 0.0
        self._now = None

    @property
    def todo(self):
        if self.lost is not None:
            return None
        return math.ceil(self._later + (self._now.left if self._now else 0.0) - 1e-6)

    def watch_iterators(self):
        """Learn of each play's iterator when it is made: Ansible gives it to no callback."""
        begin = self._begin

        class WatchedIterator(PlayIterator):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                begin(self)

        task_queue_manager.PlayIterator = WatchedIterator

    @estimates
    def playbook(self, playbook):
        plays = playbook.get_plays()
        makers = [makes_hosts(play) for play in plays]
        self._ahead = [PlayAhead(play, may_be_made=any(makers[:at])) for at, play in enumerate(plays)]
        self._estimate_later()

    @estimates
    def play(self, play):
        """A play begins, or its next batch of hosts; what was before it is over. Returns the number of hosts."""
        self._now = None
        while self._ahead and self._ahead[0].uuid != play._uuid:
            self._ahead.pop(0)
        self._estimate_later()
        return len(play._variable_manager._inventory.get_hosts(play.hosts))

    @estimates
    def task(self, task):
        """A task begins. Returns how many hosts it is for; None where each host goes at its own pace."""
        return self._now.task(task)

    def answered(self, result, included=False):
        """Counts a host's last word on a task. `included`: if it is an include, that brought something."""
        task, host = result._task, result._host.get_name()
        if task.action in C._ACTION_META:
            return
        if isinstance(task, TaskInclude):
            if self._included.get(host) == task._uuid:
                return  # said before to have succeeded: then its file could not be read
            self._included[host] = task._uuid
        self.done += 1
        self._look(host, task, included and isinstance(task, TaskInclude))

    @estimates
    def rescued(self, result):
        """Whether a host whose failure was answered goes on in a rescue."""
        host = result._host.get_name()
        if not self._now.has_failed(host):
            return True
        self._gone.add(host)
        return False

    @estimates
    def unreachable(self, result):
        """Nothing more is asked of a host that was answered to be unreachable."""
        self._now.drop(result._host.get_name())
        self._gone.add(result._host.get_name())

    @estimates
    def _look(self, host, task, included):
        self._now.answered(host, task, included)

    @estimates
    def _begin(self, iterator):
        self._now = Remaining(iterator)
        if self._ahead:
            self._ahead[0].batch_begins(set(iterator.host_states), self._now.left)
            self._estimate_later()

    def _estimate_later(self):
        self._later = sum(ahead.estimate(self._gone) for ahead in self._ahead)


class PlayAhead:
    """A play as far as some of its hosts have not begun it."""

    def __init__(self, play, may_be_made):
        self.uuid = play._uuid
        self._may_be_made = may_be_made
        self._play = play
        self._begun = set()
        self._each = None

    def batch_begins(self, hosts, left):
        """`hosts` have `left` units before them; those of later batches will have as many each."""
        self._begun |= hosts
        if hosts:
            self._each = left / len(hosts)

    def estimate(self, gone):
        hosts = len(hosts_of(self._play, self._may_be_made) - self._begun - gone)
        if hosts and self._each is None:
            self._each = self._units_each(hosts)
        return hosts * self._each if hosts else 0.0

    def _units_each(self, hosts):
        play, blocks = self._play, self._play.compile()
        units = Units(hosts, Forecast(play, host=None), counts=lambda task: is_selected(task, play))
        repeated = repeated_blocks(blocks)
        return sum(units.of(block) for block in blocks if id(block) not in repeated) + gathers_facts(play)
