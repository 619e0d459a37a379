"""The verb `hosts`: which hosts a pattern means, and how each is reached."""

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play import Play
from ansible.plugins.loader import connection_loader, get_shell_plugin
from ansible.template import Templar

from longhaul_agent.engine import Warnings

BUILTIN = ("ansible.builtin.", "ansible.legacy.")


def hosts(engine, request, folder, report):
    """The error that the request ends with, None if it was answered."""
    warnings = Warnings()
    try:
        loader, inventory, variables = engine.prepare(folder, request, report)
        found = inventory.list_hosts(request["pattern"])
    except AnsibleError as error:
        return warnings.explain("inventory", error)
    if not found:
        return {"kind": "no_hosts", "msg": f"no host matches {request['pattern']}"}
    play = Play.load({"name": "longhaul", "hosts": "all", "gather_facts": False}, variable_manager=variables, loader=loader)
    report.answer({"hosts": [_tell(host, play, variables, loader) for host in found], "warnings": warnings})
    return None


def _tell(host, play, variable_manager, loader):
    try:
        variables = variable_manager.get_vars(play=play, host=host)
        templar = Templar(loader=loader, variables=variables)

        def value(name):
            return templar.template(variables[name]) if name in variables else None

        connection = _plain(value("ansible_connection") or C.DEFAULT_TRANSPORT)
        shell = value("ansible_shell_type") or _shell_of(connection_loader.get(connection, class_only=True))
        become = value("ansible_become")
        family = get_shell_plugin(shell, value("ansible_shell_executable") or C.DEFAULT_EXECUTABLE).SHELL_FAMILY
    except AnsibleError as error:
        return {"name": host.name, "error": str(error)}
    # As it wins over ansible.cfg.
    becomes = context.CLIARGS["become"] if become is None else boolean(become, strict=False)
    return {"name": host.name, "connection": connection, "shell": family, "becomes": bool(becomes)}


def _shell_of(plugin):
    """Where only Windows is reached, the plugin looks for modules in PowerShell."""
    return "powershell" if ".ps1" in getattr(plugin, "module_implementation_preferences", ()) else None


def _plain(connection):
    """Its name as people write it; `smart` has long meant ssh."""
    for prefix in BUILTIN:
        connection = connection.removeprefix(prefix)
    return "ssh" if connection == "smart" else connection
