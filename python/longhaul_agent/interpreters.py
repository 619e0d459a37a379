"""The Pythons that Ansible has discovered on hosts, so that it need not look for them with each request."""

import time

from ansible import constants as C

FACT = "discovered_interpreter_python"
LIMIT = 10_000
#: A host may get another Python one day, or its name another machine.
TRUSTED_SECONDS = 3600.0


class Interpreters:
    """Filled in the agent, read in its forks."""

    def __init__(self):
        self._found = {}

    def remember(self, record):
        key = tuple(record["key"])
        self._found.pop(key, None)
        if record["python"] is not None:
            self._found[key] = record["python"], time.monotonic() + TRUSTED_SECONDS
        if len(self._found) > LIMIT:
            del self._found[next(iter(self._found))]

    def tell(self, request, variables):
        """In a fork: have Ansible know what is known of the request's host. Whether something is."""
        python, until = self._found.get(_key(request), (None, 0.0))
        # A cache of facts that outlives us is the user's, and knows it better.
        if python is None or time.monotonic() > until or C.CACHE_PLUGIN not in ("memory", "ansible.builtin.memory"):
            return False
        variables.set_host_facts(request["host"], {FACT: python})
        return True


def lesson(request, status, result, was_told):
    """In a fork: what is to be remembered after a task's result, None if nothing is."""
    found = (result.get("ansible_facts") or {}).get(FACT)
    if status == "ok":
        return None if found is None else {"key": _key(request), "python": found}
    return {"key": _key(request), "python": None} if was_told else None


def _key(request):
    # With other variables the same name may be another machine.
    return request["inventory"], request["extra_vars"], request["host"]
