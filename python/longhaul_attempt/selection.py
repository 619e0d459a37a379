"""Which hosts and tasks a play is for, said before Ansible says it, and without its warnings and caches."""

import fnmatch
import re

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.template import Templar

#: Refused in what is evaluated ahead of its time: they may do something.
LOOKUPS = ("lookup", "query", "q")


def hosts_of(play, may_be_made):
    """The names of a play's hosts. `may_be_made`: whether a pattern that matches nothing may be a group still to be made."""
    inventory = play._variable_manager._inventory
    limited = {host.name for host in inventory.get_hosts(ignore_restrictions=True)}
    hosts = set()
    for part in _patterns(play):
        names = _hosts_matching(part.lstrip("!&"), inventory, limited, may_be_made)
        if part.startswith("!"):
            hosts -= names
        elif part.startswith("&"):
            hosts &= names
        else:
            hosts |= names
    return hosts


def _patterns(play):
    variables = None
    for given in list_of(play.hosts):
        if is_template(given):
            variables = variables or variables_of(play)
            try:
                given = Templar(loader=play._loader, variables=variables).template(given)
            except AnsibleError:
                given = "all"
        for pattern in list_of(given):
            yield from (part for part in re.split(r"[,:]", str(pattern)) if part.strip())


def _hosts_matching(pattern, inventory, limited, may_be_made):
    pattern = pattern.strip()
    if pattern == "all":
        return limited
    if pattern in C.LOCALHOST and pattern not in inventory.hosts:
        return set() if inventory._subset else {pattern}
    groups = [group for name, group in inventory.groups.items() if fnmatch.fnmatchcase(name, pattern)]
    names = {host.name for group in groups for host in group.get_hosts()}
    names |= {name for name in inventory.hosts if fnmatch.fnmatchcase(name, pattern)}
    if names:
        return names & limited
    return limited if (may_be_made and not inventory._subset) or set(pattern) & set("~[") else set()


def makes_hosts(play):
    """Whether hosts or groups are made in a play, as far as its tasks are known beforehand."""
    tasks = (task for block in play.compile() for task in block.get_tasks())
    return any(task.action.rpartition(".")[2] in ("add_host", "group_by") for task in tasks)


def is_selected(task, play):
    """Whether a task's tags let it run. Those that were filtered by Ansible already do."""
    return are_selected(tags_of(task.tags), play)


def are_selected(tags, play):
    if any(is_template(tag) for tag in tags):
        return True
    return _wanted(tags, set(play.only_tags or ())) and not _unwanted(tags, set(play.skip_tags or ()))


def _wanted(tags, only):
    if not only or "always" in tags or tags & only:
        return True
    return "never" not in tags and ("all" in only or ("tagged" in only and bool(tags)) or ("untagged" in only and not tags))


def _unwanted(tags, skip):
    if "all" in skip:
        return "always" not in tags or "always" in skip
    return bool(tags & skip) or ("tagged" in skip and bool(tags)) or ("untagged" in skip and not tags)


def variables_of(play, host=None, task=None):
    """What templates may use; not the lookups."""
    return dict(play._variable_manager.get_vars(play=play, host=host, task=task), **dict.fromkeys(LOOKUPS))


def tags_of(given):
    """Tags as a set, from a list or from a string with commas."""
    return {part.strip() for tag in list_of(given) for part in (tag.split(",") if isinstance(tag, str) else [tag])}


def is_template(value):
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def list_of(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set)) else [value]
