"""The verb `run`: tasks on a host, one after another, each answered when it has ended."""

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.executor.task_queue_manager import TaskQueueManager
from ansible.playbook.play import Play
from ansible.plugins.loader import callback_loader

from longhaul_agent.engine import CALL, Warnings, is_ours
from longhaul_agent.interpreters import lesson

CALLBACK = "longhaul_results"


def run(engine, request, folder, known, interpreters, report):
    """The error that the request ends with, None if all was answered."""
    warnings = Warnings()
    try:
        loader, inventory, variables = engine.prepare(folder, request, report, known)
    except AnsibleError as error:
        return warnings.explain("inventory", error)
    host = inventory.get_host(request["host"])
    if host is None:
        return {"kind": "no_hosts", "msg": f"the inventory has no host {request['host']}"}
    inventory.restrict_to_hosts([host])
    if all(is_ours(task["module"]) for task in request["tasks"]):
        engine.share_payloads(folder)
    try:
        pipelined = not _becomes(host, variables)
    except AnsibleError as error:
        return warnings.explain("inventory", error)
    try:
        play = Play.load(_play(request, pipelined), variable_manager=variables, loader=loader)
    except AnsibleParserError as error:
        return {"kind": "invalid", "msg": str(error)}
    was_told = interpreters.tell(request, variables)

    def answer(index, status, result):
        report.task(index, status, result)
        learned = lesson(request, status, result, was_told)
        if learned is not None:
            report.remember("interpreter", learned)

    callback_loader.get(CALLBACK, class_only=True).answer = answer
    queue = TaskQueueManager(
        inventory=inventory,
        variable_manager=variables,
        loader=loader,
        passwords=engine.passwords(),
        stdout_callback_name=CALLBACK,
        run_additional_callbacks=False,
        forks=1,
    )
    try:
        queue.run(play)
    except AnsibleError as error:
        # What else can go wrong before a worker answers is that the host's variables can't be read.
        return {"kind": "died", "msg": str(error)} if queue.has_dead_workers() else warnings.explain("inventory", error)
    finally:
        queue.cleanup()
        loader.cleanup_all_tmp_files()
    return None


def _becomes(host, variables):
    return context.CLIARGS["become"] or bool(variables.get_vars(host=host).get("ansible_become"))


def _play(request, pipelined):
    name = request["host"]
    tasks = [_task(str(index), task, pipelined) for index, task in enumerate(request["tasks"])]
    # What ansible.cfg may say of these would change what is answered.
    return {
        "name": "longhaul",
        "hosts": name if name in C.LOCALHOST else "all",
        "gather_facts": False,
        "strategy": "linear",
        "any_errors_fatal": False,
        "debugger": "never",
        "tasks": tasks,
    }


def _task(name, task, pipelined):
    is_call = is_ours(task["module"]) and not task.get("async")
    wanted = {
        "name": name,
        "action": CALL if is_call else task["module"],
        "args": {"verb": task["module"], "args": task["args"]} if is_call else task["args"],
        "environment": task.get("environment", {}),
        "ignore_errors": True,
        "no_log": False,
    }
    if task.get("async"):
        wanted.update(poll=0, **{"async": task["async"]})
    given = {}
    if task.get("async_dir") is not None:
        given["ansible_async_dir"] = task["async_dir"]
    if pipelined and is_call:
        # One connection instead of five. With become it is for ansible.cfg to say: sudo may want a terminal.
        given["ansible_pipelining"] = True
    if given:
        wanted["vars"] = given
    return wanted
