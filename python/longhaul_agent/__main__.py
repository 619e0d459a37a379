"""python python/longhaul_agent [--vault-password-file FILE] [--playbook-dir FOLDER] [--parent PID]

Started in the playbooks folder, with LONGHAUL_AGENT=ID in the environment. Takes requests as lines of JSON on standard input
and answers with lines of JSON on standard output; standard error is its log. Ends, with all that it has started for its
requests, at the end of input or with its parent.
"""

import argparse
import gc
import os
import signal
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from longhaul_agent import fork, leftovers  # noqa: E402
from longhaul_agent.dispatcher import Dispatcher  # noqa: E402
from longhaul_agent.settings import Settings  # noqa: E402

MARKER = "LONGHAUL_AGENT"


def main(arguments):
    options = parse(arguments)
    fork.end_with_parent(signal.SIGTERM, options.parent or os.getppid())
    # Ours stays in /proc/PID/environ, and nothing that is executed inherits it.
    id = os.environ.pop(MARKER, "")
    if not id:
        sys.exit(f"{MARKER} must be set")
    requests_in, answers_out = keep_to_ourselves()
    verbs = load_ansible(shared_options(options), id)
    sys.path.pop(0)  # all of ours is loaded, and not to be taken for a module that a plugin wants
    for process in leftovers.end(f"{MARKER}={id}"):
        print(f"process {process.pid} of an earlier agent can't be ended", file=sys.stderr)
    leftovers.remove(os.path.dirname(verbs.folder), id)
    dispatcher = Dispatcher(requests_in, answers_out, verbs)
    dispatcher.say({"ready": True, "ansible": verbs.ansible_version})
    gc.collect()
    gc.freeze()
    dispatcher.serve()


def load_ansible(options, id):
    settings = Settings()  # as they were before Ansible read them
    import ansible.cli  # noqa: F401 (before all else of Ansible)
    from ansible import constants as C

    leftovers.note(C.DEFAULT_LOCAL_TMP, id)  # as soon as the folder is there
    from longhaul_agent.verbs import Verbs

    return Verbs(options, settings)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="longhaul_agent", description="Runs Ansible tasks on request")
    parser.add_argument("--vault-password-file", metavar="FILE")
    parser.add_argument("--playbook-dir", metavar="FOLDER", help="whose group_vars and host_vars count")
    parser.add_argument("--parent", metavar="PID", type=int, help="the parent's pid, in case it has died before we look")
    return parser.parse_args(arguments)


def shared_options(options):
    given = {"--vault-password-file": options.vault_password_file, "--playbook-dir": options.playbook_dir}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def keep_to_ourselves():
    """Move the two ends of the conversation out of the way of whatever reads or prints."""
    conversation = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return conversation


if __name__ == "__main__":
    main(sys.argv[1:])
