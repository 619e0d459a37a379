"""What the node asks for on a target, by the names of the modules that bring it there."""

from .apart import launch_commands
from .cleaning import clean
from .ending import end
from .looking import look
from .preparing import prepare

VERBS = {
    "longhaul_prepare": prepare,
    "longhaul_launch": launch_commands,
    "longhaul_look": look,
    "longhaul_end": end,
    "longhaul_clean": clean,
}
