"""What may be asked of the agent: a line of JSON, checked before anything is done about it."""

import dataclasses
import json
import re

MODULE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class Invalid(ValueError):
    """A request that can't be understood. `id` is that of the request, if it has one."""

    def __init__(self, reason, id=None):
        super().__init__(reason)
        self.id = id


@dataclasses.dataclass(frozen=True)
class Request:
    id: int
    verb: str
    timeout: float
    body: dict


def parse(line):
    """The request in a line of bytes. Raises Invalid."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not a line of JSON: {error}") from error
    if not isinstance(body, dict) or not _is_whole(body.get("id")):
        raise Invalid("not an object with a whole number as id")
    fields = _FIELDS.get(body.get("verb")) if isinstance(body.get("verb"), str) else None
    if fields is None:
        raise Invalid(f"verb must be one of {', '.join(_FIELDS)}", body["id"])
    for name, fits in fields.items():
        if not fits(body.get(name)):
            raise Invalid(f"{name} is missing, or is not what it should be", body["id"])
    return Request(body["id"], body["verb"], body.get("timeout"), body)


def _is_whole(value):
    return type(value) is int


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_flag(value):
    return isinstance(value, bool)


def _is_object(value):
    return isinstance(value, dict)


def _is_time(value):
    return type(value) in (int, float) and 0 < value < 1e9


def _is_module(value):
    return isinstance(value, str) and MODULE_NAME.fullmatch(value) is not None


def _is_path(value):
    return value is None or _is_text(value)


def _are_tasks(value):
    return isinstance(value, list) and len(value) > 0 and all(map(_is_task, value))


def _is_task(value):
    return (
        isinstance(value, dict)
        and _is_module(value.get("module"))
        and _is_object(value.get("args"))
        and _is_whole(value.get("async", 0))
        and _is_path(value.get("async_dir"))
        and _is_object(value.get("environment", {}))
    )


_ANY_INVENTORY = {"timeout": _is_time, "inventory": _is_text, "extra_vars": _is_path}
_FIELDS = {
    "hosts": {**_ANY_INVENTORY, "pattern": _is_text},
    "run": {**_ANY_INVENTORY, "host": _is_text, "become": _is_flag, "tasks": _are_tasks},
    "here": {"timeout": _is_time, "module": _is_module, "args": _is_object},
    "stop": {"target": _is_whole},
}
