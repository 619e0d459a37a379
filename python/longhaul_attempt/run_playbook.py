"""run_playbook.py FOLDER MARKER ansible-playbook ARGUMENT...: Ansible, which puts its own end on record.

Does what the console script does, in the same process, with our events callback beside the user's own.
"""

import atexit
import os
import sys
import time
import traceback

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from longhaul_attempt import evidence, output, outputs, processes  # noqa: E402

here = sys.path.pop(0)


def main(folder, marker, arguments):
    losses = output.Losses()
    sys.stdout = output.tolerant_stream(1, losses)
    sys.stderr = output.tolerant_stream(2, losses)
    sys.argv = arguments
    recorder = None
    try:
        recorder = _events_callback(os.path.join(folder, "events.jsonl"), losses)
        from ansible.cli.playbook import PlaybookCLI

        rc = _exit_code(PlaybookCLI.cli_executor, arguments)
    except BaseException as error:
        traceback.print_exc()
        rc = 250 if not isinstance(error, KeyboardInterrupt) else 99
    atexit._run_exitfuncs()  # Ansible's own clean-up belongs to the run
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        _put_on_record(folder, marker, rc, losses, recorder)
    except OSError:
        traceback.print_exc()  # the supervisor has the exit code, and tries once more
    os._exit(rc)


def _exit_code(executor, arguments):
    try:
        return executor(arguments) or 0
    except SystemExit as end:
        if end.code is None:
            return 0
        return end.code if isinstance(end.code, int) else 1


def _events_callback(path, losses):
    """Make Ansible load our callback without touching the user's settings of callback plugins."""
    from ansible.plugins.loader import callback_loader

    from longhaul_attempt.work import Work

    callback_loader.add_directory(os.path.join(here, "callback"))
    plugin = callback_loader.get("longhaul_events", class_only=True)
    plugin.lines = output.TolerantLines(path, losses)
    plugin.work = Work()
    plugin.work.watch_iterators()
    return plugin


def _put_on_record(folder, marker, rc, losses, recorder):
    left = processes.Attempt.read(folder, marker)
    own = {os.getpid(), (left.supervisor or {}).get("pid")}
    leftovers = [process.describe() for process in left.members(but=own)][:50]
    cause = (evidence.readable(folder, "cause.json") or {}).get("cause")
    handed_on, omitted = outputs.bounded(getattr(recorder, "set_stats", {}))
    record = {
        "rc": rc,
        "signal": None,
        "by": "ansible",
        "cause": cause,
        "at": time.time(),
        "stats": getattr(recorder, "stats", {}),
        "outputs": handed_on,
        "outputs_omitted": omitted,
        "failure": getattr(recorder, "failure", None),
        # After a cause nothing is left: the supervisor ends them all.
        "leftovers": leftovers if cause is None else [],
        "storage": {"lost_bytes": losses.bytes, "reason": losses.reason} if losses.bytes else None,
    }
    try:
        evidence.publish(folder, "result.json", record)
    except OSError:
        # Too large for the reserved space: the verdict matters more than the counters.
        lost = outputs.notes(dict.fromkeys(handed_on, "there was no space for it on the disk"))
        evidence.publish(folder, "result.json", {**record, "stats": {}, "leftovers": [], "outputs": {}, "outputs_omitted": lost})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
