"""Runs a command: A forks it, waits for its end and puts that on record. If A is killed, the supervisor does so."""

import errno
import os

from .. import evidence, processes, supervision
from . import folders, inheritance, native, results
from .copying import Copier


class CommandRun(supervision.Supervision):
    def __init__(self, folder, plan, launchers, call):
        super().__init__(folder, plan, launchers)
        self._call = call
        self._copier = Copier(folder)
        self._command = None  # its pid
        self._commands_end = None
        self._ansibles_end = None  # if it left the command to us
        self._is_ending = False

    def claimants(self):
        return results.claimants(super().claimants(), self._call)

    def before_release(self):
        self._copier.start()
        self._copier.close_ends()
        native.write(self.folder, self._call.job_id, native.running(self._call.job_id))

    def set_stage(self):
        self._copier.leave_to_others()
        try:
            os.chdir(folders.expanded(self.plan.get("chdir") or folders.home()))
        except OSError:
            if self.plan.get("chdir") is not None:
                raise
            os.chdir("/")  # it has no home

    def act(self, report):
        try:
            failure_read, failure_write = os.pipe()
            command = os.fork()
        except OSError as error:
            self._end_unexecuted(error, report)
        if command == 0:
            _become_command(self.folder, self.plan, self._copier.ends, report, failure_write)
        os.close(report)
        os.close(failure_write)
        self._copier.close_ends()
        with open(failure_read, "rb") as failed:
            failure = failed.read()
        status = os.waitid(os.P_PID, command, os.WEXITED | os.WNOWAIT)
        copied = self._copier.finish()
        own = {os.getpid(), command}
        record = self._not_executed(int(failure)) if failure else self._result(status, copied, own, "ansible")
        # Unreaped until it is on record: if we die or fail here, the supervisor inherits the status.
        if results.publish(self.folder, record):
            os.waitpid(command, 0)
            native.settle(self.folder, self.plan, self._call.job_id)
        os._exit(0)

    def _end_unexecuted(self, error, report):
        """No process or no pipe is to be had for the command. Never returns."""
        os.close(report)
        self._copier.close_ends()
        if not results.publish(self.folder, self._not_executed(error.errno)):
            os._exit(1)
        native.settle(self.folder, self.plan, self._call.job_id)
        os._exit(0)

    def _not_executed(self, number):
        program = (self.plan.get("argv") or ["/bin/sh"])[0]
        return results.not_executed(self.folder, number, program, self.cause())

    def _result(self, status, copied, own, by):
        copied = copied or {"pid": None, "lost_bytes": 0, "reason": None, "is_whole": False}
        cause = self.cause()
        is_cut = cause is not None or results.is_killed(status)
        left = [] if is_cut else results.leftovers(self.folder, self.plan, {*own, os.getppid(), copied["pid"]})
        storage = results.storage_of(copied["lost_bytes"], copied["reason"])
        record = results.of_command(self.folder, status, cause, by, storage, left)
        # Where the copier hangs in a write, or one was killed, nobody knows how much there is to be.
        return record if copied["is_whole"] else {**record, "stdout_bytes": None, "stderr_bytes": None}

    def await_start(self):
        told = super().await_start()
        if told is not None and told.startswith("command "):
            self._command = int(told.split()[1])
            return None
        return told

    def end(self):
        """The end of A; if that came without a result, the end of the command."""
        if self._ansibles_end is None:
            status = super().end()
            if status is None or self._command is None or evidence.readable(self.folder, "result.json") is not None:
                return status
            self._ansibles_end = status
            self.let_go()
        super().end()
        if self._commands_end is None and not self._is_commands_parent():
            return self._ansibles_end
        return self._commands_end

    def reap(self, ended):
        super().reap(ended)
        if ended.si_pid == self._command:
            self._commands_end = ended
        elif ended.si_pid == self._copier.pid and not self._is_ending:
            self._copier.start()

    def _is_commands_parent(self):
        try:
            os.waitid(os.P_PID, self._command, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def put_on_record(self, record):
        results.publish(self.folder, record)

    def record(self, status):
        return self._result(status, self._copier.finish(), {os.getpid(), self.ansible, self._command}, "supervisor")

    def let_go(self):
        if self.ansible:
            super().let_go()
            self.ansible = 0

    def terminate(self):
        self._is_ending = True
        super().terminate()

    def spared(self):
        return {*super().spared(), self._copier.pid}


def _become_command(folder, plan, ends, report, failure):
    """In the command's process, until it is one. Never returns."""
    try:
        os.setpgid(0, 0)
        _tell_who_we_are(folder)
        _report(report)
        inheritance.restore_signals()
        for descriptor, end in ((0, os.open(os.devnull, os.O_RDONLY)), (1, ends["stdout"]), (2, ends["stderr"])):
            os.dup2(end, descriptor)
        argv = ["/bin/sh", "-c", plan["shell"]] if plan.get("shell") is not None else plan["argv"]
        argv = [text.encode("utf-8", "surrogateescape") for text in argv]
        os.execvp(argv[0], argv)
    except BaseException as error:
        os.write(failure, b"%d" % (getattr(error, "errno", None) or errno.EINVAL))
    finally:
        os._exit(127)


def _tell_who_we_are(folder):
    try:
        evidence.replace(folder, "command.json", processes.identity(os.getpid()))
    except OSError:
        pass  # the marker tells too, if less well


def _report(report):
    try:
        os.write(report, b"command %d\n" % os.getpid())
    except BrokenPipeError:
        pass  # the supervisor is dead: A tells how we end
