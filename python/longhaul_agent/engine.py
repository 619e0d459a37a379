"""Ansible: loaded once in the agent, made ready for a request in its fork."""

import glob
import os
import sys

# Ansible's own start-up comes first: it looks at the locale and at standard input and output.
from ansible.cli import adhoc  # isort: skip
import ansible
import ansible.cli
from ansible import constants as C
from ansible import context
from ansible.executor import task_executor, task_queue_manager  # noqa: F401 (loaded for the forks)
from ansible.executor.process import worker  # noqa: F401
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.plugins import loader as plugins
from ansible.release import __version__ as version
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.utils.display import Display
from ansible.vars.plugins import get_vars_from_path

from longhaul_agent import inventories
from longhaul_agent.code import Code
from longhaul_agent.inventories import KnownInventory

__all__ = ["CALL", "Engine", "Warnings", "is_ours", "version", "watched_files"]


PYTHON = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARY = os.path.join(PYTHON, "target_modules", "library")
PAYLOADS = "ansiballz_cache"
#: The action by which our modules are called.
CALL = "longhaul_call"
POLL_SECONDS = 0.025
#: What is loaded ahead; all else is loaded by the forks that need it.
PLUGINS = {
    "connection": ("local", "ssh"),
    "shell": ("sh",),
    "strategy": ("linear",),
    "action": ("normal", "command", CALL),
    "cache": ("memory",),
    "become": ("sudo", "su"),
    "callback": ("default", "junit", "minimal", "longhaul_results"),
}


class Engine:
    """`options` are the command line of `ansible` that all requests share."""

    def __init__(self, options):
        self._cli = adhoc.AdHocCLI(["ansible", *options, "all"])
        self._cli.init_parser()
        self._options = vars(self._cli.post_process_args(self._cli.parser.parse_args(self._cli.args[1:])))
        self.folder = C.DEFAULT_LOCAL_TMP
        os.mkdir(os.path.join(self.folder, PAYLOADS))
        # ssh looks beside this for the program that hands it a password.
        sys.argv = [os.path.join(os.path.dirname(sys.executable), "ansible")]
        if C.DEFAULT_INTERNAL_POLL_INTERVAL == 0.001:
            C.DEFAULT_INTERNAL_POLL_INTERVAL = POLL_SECONDS  # how often a fork looks at its worker
        C.INVENTORY_UNPARSED_IS_FAILED = True
        C.CALLBACKS_ENABLED = []
        ansible.cli.InventoryManager = KnownInventory
        plugins.init_plugin_loader()
        plugins.callback_loader.add_directory(os.path.join(PYTHON, "longhaul_agent", "callback"))
        plugins.action_loader.add_directory(os.path.join(PYTHON, "longhaul_agent", "action"))
        # First come, first found: our async_wrapper takes the place of Ansible's.
        plugins.module_loader.add_directory(LIBRARY)
        plugins.module_utils_loader.add_directory(PYTHON)
        _load_ahead()
        plugins.action_loader.get(CALL, class_only=True).code = Code()

    def prepare(self, folder, request, report, known=None):
        """In a fork: (loader, inventory, variables) for a request. Raises AnsibleError.

        known: what the inventory said before.
        """
        C.DEFAULT_LOCAL_TMP = folder
        now = inventories.state(request["inventory"])
        is_known = known is not None and known.state == now
        KnownInventory.known = known.data if is_known else None
        become = request.get("become", False) or self._options["become"]
        # There is nobody to be asked, whatever ansible.cfg says.
        given = {"inventory": [_whole_path(request["inventory"])], "become": become, "ask_pass": False, "become_ask_pass": False}
        context.CLIARGS = ImmutableDict({**self._options, **given})
        loader, inventory, variables = self._cli._play_prereqs()
        if request["extra_vars"] is not None:
            # Values are data: without trust no template in them is evaluated.
            variables.extra_vars.update(loader.load_from_file(request["extra_vars"], trusted_as_template=False))
        if not is_known and "," not in request["inventory"]:
            report.remember("inventory", {"inventory": request["inventory"], "state": now, "data": inventory.said()})
        return loader, inventory, variables

    def share_payloads(self, folder):
        """In a fork: use the modules that others have packed. For modules that stay the same while the agent lives."""
        os.symlink(os.path.join(self.folder, PAYLOADS), os.path.join(folder, PAYLOADS))

    def passwords(self):
        connection, become = self._cli.ask_passwords()
        return {"conn_pass": connection, "become_pass": become}


def is_ours(module):
    return os.path.exists(os.path.join(LIBRARY, f"{module}.py"))


def watched_files():
    """What a change of which makes what is loaded here out of date: ansible-core, collections, and our own modules."""
    own = [LIBRARY, *glob.glob(os.path.join(LIBRARY, "*.py")), *glob.glob(os.path.join(PYTHON, "longhaul_attempt", "**", "*.py"))]
    return [os.path.join(os.path.dirname(ansible.__file__), "release.py"), *own, *_namespaces()]


def _namespaces():
    """The folders that change when a collection is installed or removed."""
    paths = {*AnsibleCollectionConfig.collection_paths, *map(os.path.expanduser, C.COLLECTIONS_PATHS)}
    roots = [os.path.join(path, "ansible_collections") for path in paths]
    return [*roots, *(folder for root in roots for folder in glob.glob(os.path.join(root, "*", "")))]


def _whole_path(inventory):
    return inventory if "," in inventory else os.path.abspath(inventory)


def _load_ahead():
    for kind, names in PLUGINS.items():
        for name in names:
            getattr(plugins, f"{kind}_loader").get(name, class_only=True)
    for loader in (plugins.filter_loader, plugins.test_loader):
        list(loader.all())
    loader = DataLoader()
    KnownInventory(loader=loader, sources=["none,"])
    get_vars_from_path(loader, os.devnull, [], "task")


class Warnings(list):
    """What Ansible warns of from now on, in this process. It is still shown."""

    PREFIX = "[WARNING]: "

    def __init__(self):
        display = Display()
        show = display.display

        def note(message, *arguments, **options):
            if message.startswith(self.PREFIX):
                self.append(message.removeprefix(self.PREFIX).strip())
            show(message, *arguments, **options)

        display.display = note

    def explain(self, kind, error):
        """The error to answer with: what made Ansible give up, it has told as warnings."""
        return {"kind": kind, "msg": " ".join([*self, str(error)])}
