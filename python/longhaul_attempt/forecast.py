"""What an include that has not been reached is likely to bring.

Files are read and templates evaluated as Ansible will do it later, with two differences: nothing is kept in Ansible's
caches (a play may write the file that it includes), and lookups are refused (they may do something).
What can't be known is guessed, rather too high than too low: progress that was shown is never taken back.
"""

import glob
import os
import re

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.playbook.role_include import IncludeRole
from ansible.template import Templar

from longhaul_attempt.selection import are_selected, is_template, list_of, tags_of, variables_of

UNKNOWN_ITEMS = 3
UNKNOWN_TASKS = 5
UNKNOWN_CHANCE = 0.5
DEEPEST = 8
MOST_ITEMS = 50
INCLUDES = {"include_tasks", "import_tasks", "include_role", "import_role"}


class Unknown(Exception):
    """It can't be told yet."""


class Forecast:
    """Forecasts includes of a play, as one of its hosts (None: none in particular) would meet them."""

    def __init__(self, play, host):
        self.play = play
        self._host = host
        self._loader = play._loader
        self._files = {}

    def of(self, task):
        """The units that an include brings to a host, besides its own."""
        view = _View(self, task)
        role = task._role._role_path if task._role else None
        if isinstance(task, IncludeRole):
            entry = {"role": task._role_name, "file": task._from_files.get("tasks", "main")}
        else:
            entry = {"role": None, "file": task.args.get("_raw_params") or task.args.get("file")}
        where = [os.path.dirname(task.get_path()), *([os.path.join(role, "tasks")] if role else []), self._loader.get_basedir()]
        return view.chance(task.when) * self._each_item(view, entry, task.loop, task.loop_with, where, role, 0)

    def variables(self, task):
        return variables_of(self.play, self._host, task)

    def template(self, value, variables):
        if not isinstance(value, str) or "{{" not in value:
            return value
        try:
            return Templar(loader=self._loader, variables=variables).template(value)
        except AnsibleError as error:
            raise Unknown from error

    def _each_item(self, view, entry, loop, loop_with, where, role, depth):
        items = view.items(loop, loop_with)
        if items is None:
            return UNKNOWN_ITEMS * self._include(view, entry, where, role, depth)
        shown = items[:MOST_ITEMS]
        units = sum(self._include(view.at(item), entry, where, role, depth) for item in shown)
        return units * len(items) / len(shown) if shown else 0

    def _include(self, view, entry, where, role, depth):
        if depth > DEEPEST:
            return UNKNOWN_TASKS
        name = view.pattern(entry["file"])
        if entry["role"] is not None:
            where = self._roles(view.pattern(entry["role"]), role)
        files = _matching(name, where) or _matching(f"{name}.yml", where) or _matching(f"{name}.yaml", where)
        if not files:
            return UNKNOWN_TASKS
        return sum(self._file(view, file, role, depth) for file in files) / len(files)

    def _roles(self, name, role):
        basedir = self._loader.get_basedir()
        places = [os.path.join(basedir, "roles"), *C.DEFAULT_ROLES_PATH, basedir, *([os.path.dirname(role)] if role else [])]
        return [os.path.join(folder, "tasks") for place in places for folder in glob.glob(os.path.join(place, name))]

    def _file(self, view, file, role, depth):
        if file not in self._files:
            self._files[file] = UNKNOWN_TASKS  # for a file that includes itself
            self._files[file] = self._read(view, file, role, depth)
        return self._files[file]

    def _read(self, view, file, role, depth):
        try:
            entries = self._loader.load_from_file(file, cache="none", trusted_as_template=True)
        except (AnsibleError, OSError, TypeError):
            return UNKNOWN_TASKS
        above = os.path.dirname(file)
        if entry_role := re.search(r"(.*)/tasks(/|$)", above):
            role = entry_role.group(1)
        return self._tasks(view, entries, [above, *([os.path.join(role, "tasks")] if role else [])], role, set(), depth + 1)

    def _tasks(self, view, entries, where, role, tags, depth):
        found = [entry for entry in entries or [] if isinstance(entry, dict)] if isinstance(entries, list) else []
        return sum(self._task(view, entry, where, role, tags, depth) for entry in found)

    def _task(self, view, entry, where, role, tags, depth):
        tags = tags | tags_of(entry.get("tags"))
        if "block" in entry:
            parts = [entry.get("block"), entry.get("always")]
            return sum(self._tasks(view, part, where, role, tags, depth) for part in parts)
        if not are_selected(tags, self.play):
            return 0
        action = next((key for key in entry if str(key).rpartition(".")[2] in INCLUDES), None)
        if action is None:
            return 0 if any(str(key).rpartition(".")[2] == "meta" for key in entry) else 1
        given = entry[action] if isinstance(entry[action], dict) else {"file": entry[action], "name": entry[action]}
        is_role = action.endswith("_role")
        included = {"role": given.get("name") if is_role else None, "file": given.get("tasks_from", "main")}
        if not is_role:
            included["file"] = given.get("file")
        loop_with = next((key[5:] for key in entry if str(key).startswith("with_")), None)
        loop = entry.get(f"with_{loop_with}") if loop_with else entry.get("loop")
        units = view.chance(entry.get("when")) * self._each_item(view, included, loop, loop_with, where, role, depth)
        return units + (0 if "import_" in action else 1)


class _View:
    """The variables that an include is forecast with; read when the first is needed."""

    def __init__(self, forecast, task, item=Unknown):
        self._forecast = forecast
        self._task = task
        self._item = item
        self._variables = None

    def at(self, item):
        view = _View(self._forecast, self._task, item)
        view._variables = None if self._variables is None else dict(self._variables, item=item)
        return view

    def items(self, loop, loop_with):
        """The items of a loop, [None] without one; None if they can't be known."""
        if loop is None:
            return [None]
        if loop_with == "sequence":
            return _sequence(loop)
        if loop_with not in (None, "items", "list", "flattened", "dict"):
            return None
        try:
            items = self._template(loop)
        except Unknown:
            return None
        if isinstance(items, dict):
            return list(items)
        if not isinstance(items, list):
            return None
        return [part for item in items for part in (item if isinstance(item, list) and loop_with == "items" else [item])]

    def chance(self, conditions):
        """How likely it is that all conditions hold."""
        chance = 1.0
        for condition in list_of(conditions):
            try:
                value = condition if isinstance(condition, bool) else self._evaluate(condition)
                chance *= 1.0 if value else 0.0
            except Unknown:
                chance *= UNKNOWN_CHANCE
        return chance

    def pattern(self, name):
        """A name, with wildcards for what is not known of it."""
        try:
            return str(self._template(name))
        except Unknown:
            return re.sub(r"\{\{.*?\}\}", "*", str(name))

    def _evaluate(self, condition):
        templar = Templar(loader=self._forecast.play._loader, variables=self._known())
        try:
            return templar.evaluate_conditional(condition)
        except (AnsibleError, AttributeError) as error:
            raise Unknown from error

    def _template(self, value):
        return self._forecast.template(value, self._known() if is_template(value) else {})

    def _known(self):
        if self._variables is None:
            self._variables = self._forecast.variables(self._task)
            if self._item is not Unknown and self._item is not None:
                self._variables["item"] = self._item
        return self._variables


def _matching(name, folders):
    for folder in folders:
        files = [file for file in sorted(glob.glob(os.path.join(folder, name))) if os.path.isfile(file)]
        if files:
            return files[:MOST_ITEMS]
    return []


def _sequence(given):
    """The numbers of a with_sequence that is written out; None for others."""
    terms = dict(re.findall(r"(count|start|end|stride)=(\d+)", str(given)))
    if "count" in terms:
        return list(range(int(terms["count"])))
    if "end" not in terms:
        return None
    return list(range(int(terms.get("start", 1)), int(terms["end"]) + 1, max(1, int(terms.get("stride", 1)))))
