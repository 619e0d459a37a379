"""ansible-playbook, again and again: Ansible is imported once, and each request is a fork that runs its real command line.

A request is a line of JSON on standard input: {"id", "arguments", "environment", "output"}; `id rc` is printed when it ended.
"""

import json
import os
import select
import shutil
import sys
import tempfile
import traceback

from ansible import constants as C
from ansible.cli.playbook import PlaybookCLI


def main():
    running = {}
    requests = b""
    while requests is not None or running:
        if requests is not None and select.select([0], [], [], 0.01)[0]:
            part = os.read(0, 65536)
            requests = requests + part if part else None
        elif requests is None:
            select.select([], [], [], 0.01)
        while requests and b"\n" in requests:
            line, requests = requests.split(b"\n", 1)
            request = json.loads(line)
            running[start(request)] = request["id"]
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                print(running.pop(pid), os.waitstatus_to_exitcode(status), flush=True)


def start(request):
    pid = os.fork()
    if pid:
        return pid
    code = 250
    try:
        os.environ.update(request["environment"])
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        C.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(dir=os.path.dirname(C.DEFAULT_LOCAL_TMP))
        code = run(["ansible-playbook", *request["arguments"]])
        shutil.rmtree(C.DEFAULT_LOCAL_TMP, ignore_errors=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(arguments):
    try:
        return PlaybookCLI.cli_executor(arguments) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


main()
