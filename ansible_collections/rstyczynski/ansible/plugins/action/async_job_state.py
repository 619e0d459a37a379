"""Reads and writes the state documents of async jobs, on the controller and with its Python."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import document as documents
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state import operations
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.keys import InvalidName, JobKey
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.settings import (
    OPTIONS,
    Connection,
    open_storage,
    seconds_of,
)
from ansible_collections.rstyczynski.ansible.plugins.module_utils.job_state.storage import Storage, StorageError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "operation": {"type": "str", "required": True, "choices": ["load", "reserve", "save", "recover", "list", "remove"]},
    "storage": {"type": "dict", "required": True, "options": OPTIONS},
    "host": {"type": "str"},
    "host_variable": {"type": "str"},
    "playbook_name": {"type": "str"},
    "job_name": {"type": "str"},
    "ansible_job_id": {"type": "str"},
    "async_dir": {"type": "str"},
    "default_async_dir": {"type": "str"},
    "state": {"type": "str", "default": documents.RUNNING, "choices": [documents.RUNNING, *documents.FINAL]},
    "metadata": {"type": "dict"},
    "token": {"type": "str", "no_log": False},
    "expires_after": {"type": "float", "default": 300},
    "former_job_id": {"type": "str"},
    "void_token": {"type": "str", "no_log": False},
    "revision": {"type": "str"},
    "states": {"type": "list", "elements": "str", "choices": list(documents.STATES), "default": []},
    "older_than": {"type": "str", "default": "0"},
}
JOB = ["host", "playbook_name", "job_name"]
NEEDS = {
    "load": JOB,
    "reserve": [*JOB, "async_dir"],
    "save": [*JOB, "ansible_job_id", "default_async_dir"],
    "recover": [*JOB, "ansible_job_id", "async_dir", "token"],
    "remove": [*JOB, "revision"],
}
# What a service may be told of how a host is reached; the rest may be secret, or is a matter of the controller.
CONNECTION = ("ansible_host", "ansible_port", "ansible_user")


class ActionModule(ActionBase):
    """Runs on the controller whichever host the task is for."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _validated, args = self.validate_argument_spec(
            argument_spec=ARGUMENTS, required_if=[("operation", name, needed) for name, needed in NEEDS.items()]
        )
        # What a role was called without arrives empty.
        args = {name: None if value == "" else value for name, value in args.items()}
        empty = [name for name in NEEDS.get(args["operation"], []) if args[name] is None]
        if empty:
            raise AnsibleActionFail("empty: %s" % ", ".join(empty))
        job_id = args["ansible_job_id"]
        if job_id is not None and not documents.is_job_id(job_id):
            raise AnsibleActionFail("not the ansible_job_id of an async job, such as j324305196451.6900: %s" % job_id)
        if args["metadata"] is not None:
            args["metadata"] = _plain(args["metadata"])
        given_host = self._host_of_call(args, variables)
        try:
            # What is there is found and removed wherever its host is.
            is_to_adopt = args["operation"] in ("load", "save")
            connection = self._connection_of(args["host"] if is_to_adopt else None, variables)
            storage = open_storage(args["storage"], connection)
            done = getattr(self, "_" + args["operation"])(storage, args)
            return {"changed": False, "check_mode": self._task.check_mode, "given_host": given_host, **done}
        except (StorageError, documents.UnreadableDocument, operations.Refused, InvalidName) as error:
            # Ansible would say it once for each cause.
            raise AnsibleActionFail(str(error)) from None

    def _load(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        key = _key(args)
        found = storage.get(key)
        return {"host": key.host, "document": found and _shown(found.document)}

    def _reserve(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        wish = operations.Wish(
            args["async_dir"], args["expires_after"], args["metadata"] or {}, args["former_job_id"], args["void_token"]
        )
        if self._task.check_mode:
            found = storage.get(_key(args))
            is_free = found is None or operations.gives_way(found.document, wish)
            return {"changed": is_free, "token": None, "document": found and _shown(found.document)}
        token, document = operations.reserve(storage, _key(args), wish)
        return {"changed": token is not None, "token": token, "document": _shown(document)}

    def _save(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        job = operations.Job(
            args["ansible_job_id"], args["async_dir"], args["state"], args["metadata"], args["default_async_dir"]
        )
        if self._task.check_mode:
            found = storage.get(_key(args))
            is_there = found is not None and found.document["ansible_job_id"] == job.ansible_job_id
            return {"changed": not is_there, "document": found and _shown(found.document)}
        document, changed = operations.save(storage, _key(args), job, args["token"])
        return {"changed": changed, "document": _shown(document)}

    def _recover(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        if self._task.check_mode:
            return {"changed": True}
        started = (args["ansible_job_id"], args["async_dir"], args["token"])
        return {"changed": operations.recover(storage, _key(args), *started)}

    def _list(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        found = storage.list(args["host"], args["playbook_name"])
        selected, unreadable = operations.select(found, args["job_name"], args["states"], seconds_of(args["older_than"]))
        return {"jobs": [_shown(stored.document) for stored in selected], "warnings": unreadable}

    def _remove(self, storage: Storage, args: dict[str, Any]) -> dict[str, Any]:
        removed = self._task.check_mode or operations.remove(storage, _key(args), args["revision"])
        return {"changed": removed, "removed": removed}

    def _host_of_call(self, args: dict[str, Any], variables: dict[str, Any]) -> str:
        """
        A role that has its host as a result too leaves that behind as a fact, which would win over what its next call
        is given. Puts the host that this call means into `args`; returns it if a later call that has that fact means its own.
        """
        name = args["host_variable"]
        if name is None:
            return ""
        role = self._task._role
        of_call = {**self._task.get_vars(), **(role.get_role_params() if role else {}), **self._task.get_include_params()}
        if name in of_call:
            args["host"] = self._templar.template(of_call[name])
            return args["host"]
        # As a variable of the play, say.
        is_given = role is not None and variables.get(name) != role.get_default_vars().get(name)
        if args["host"] == variables.get(name + "_of_call"):
            args["host"] = variables["inventory_hostname"]
        elif is_given and name + "_of_call" not in variables:
            return ""
        # Other hosts get it as a fact, too, where the role is run once for all of them.
        return args["host"] if self._task.run_once and args["host"] == variables["inventory_hostname"] else ""

    def _connection_of(self, host: str | None, variables: dict[str, Any]) -> Connection:
        if host is None:
            return Connection({})
        known = variables["hostvars"].get(host, {}) if host in variables["hostvars"] else {}
        # A task that is delegated has the delegate's connection.
        is_of_play = host == variables["inventory_hostname"] and self._task.delegate_to is None
        connection = self._play_context.connection if is_of_play else known.get("ansible_connection")
        if connection == "local":
            # The service takes this for its node itself, with its own Python.
            is_known = host == "localhost"
            return Connection("localhost," if is_known else _inventory(host, {"ansible_connection": "local"}), is_local=True)
        about = {name: known[name] for name in CONNECTION if name in known}
        if is_of_play:
            # Also what the play, its configuration or the command line says.
            play = self._play_context
            given = {
                "ansible_host": None if play.remote_addr == host else play.remote_addr,
                "ansible_port": play.port,
                "ansible_user": play.remote_user,
            }
            about = {name: value for name, value in given.items() if value not in (None, "")}
        return Connection(_inventory(host, about))


def _inventory(host: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {"all": {"hosts": {host: variables}}}


def _key(args: dict[str, Any]) -> JobKey:
    return JobKey(args["host"], args["playbook_name"], args["job_name"])


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it; YAML has dates, too."""
    try:
        return json.loads(json.dumps(metadata, default=_text_of))
    except (TypeError, ValueError) as error:
        raise AnsibleActionFail("metadata can't be kept as JSON: %s" % error) from error


def _text_of(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError("it has a %s" % type(value).__name__)


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    """A document with what depends on the time."""
    is_reserved = document["state"] == documents.RESERVED
    return {
        **document,
        "age": round(documents.age_of(document)),
        "token": documents.token_of(document),
        "expired": is_reserved and documents.has_expired(document),
    }
