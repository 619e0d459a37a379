"""How Ansible calls what it takes for its async_wrapper.

up to 2.20: JID LIMIT MODULE ARGSFILE|_ [-preserve_tmp]
from 2.21:  JID LIMIT PRESERVE_TMP MODULE COMMAND...
"""

import os
import re
import shutil

from .folders import Refused

JID = re.compile(r"j\d+\Z")
#: Not a module that there is: what is called by this name is the command of the attempt.
COMMAND_MODULE = "longhaul_command"


class Call:
    """The module that is to be run, as a command line, and the folder that Ansible made for it."""

    def __init__(self, arguments):
        if len(arguments) < 4 or not JID.match(arguments[0]):
            raise Refused("called in a way that is not known here: %r" % (arguments,))
        self.job_id = "%s.%d" % (arguments[0], os.getpid())
        if arguments[2] in ("true", "false"):
            module, keeps, rest = arguments[3], arguments[2] == "true", None
        elif os.path.isabs(arguments[2]) and arguments[4:] in ([], ["-preserve_tmp"]):
            module, keeps, rest = arguments[2], len(arguments) == 5, arguments[3]
        else:
            raise Refused("this version of Ansible calls it in a way that is not known here: %r" % (arguments,))
        self.is_command = re.sub(r"^AnsiballZ_|\.py$", "", os.path.basename(module)) == COMMAND_MODULE
        if self.is_command:
            self.argv = []
        elif rest is None:
            self.argv = arguments[4:] or [module]
        else:
            self.argv = [*_interpreter(module), module, *([] if rest == "_" else [rest])]
        folder = os.path.dirname(module)
        self.folder = None if keeps or "-tmp-" not in folder else folder

    def remove_folder(self):
        """As Ansible's wrapper does, because Ansible leaves it to the wrapper."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _interpreter(module):
    """The words of a module's first line that tell what runs it; none for a program."""
    with open(module, "rb") as file:
        first = file.readline(1024)
    if not first.startswith(b"#!"):
        return []
    return first[2:].decode("utf-8", "surrogateescape").split()
