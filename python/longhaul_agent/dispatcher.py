"""The agent's loop: requests in, a fork for each, answers out. It waits for nothing else, so that no request holds up another."""

import functools
import json
import os
import selectors
import signal
import time

from longhaul_agent import fork, requests, tree
from longhaul_agent.answers import Answers
from longhaul_agent.children import VANISH_SECONDS, Child
from longhaul_agent.fork import Report
from longhaul_attempt import processes

READ_BYTES = 256 * 1024
#: How often processes that are being killed are looked at.
KILL_SECONDS = 0.02
#: How long a fork that has reported its end may take to go.
LEAVE_SECONDS = 5.0


class Dispatcher:
    """`verbs` does the work of a request, in its fork."""

    def __init__(self, requests_in, answers_out, verbs):
        self.input = requests_in
        self.answers = Answers(answers_out)
        self.verbs = verbs
        self.children = {}  # by the id of their request, until it is answered
        self.leaving = []  # answered, and not gone yet
        self.number = 0
        self.over = False
        self._part = bytearray()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)

    def serve(self):
        """Serve until the end of input, or TERM; then end what is under way."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._finish())
        signal.signal(signal.SIGINT, lambda *_: self._finish())
        self._selector.register(self.input, selectors.EVENT_READ, self._take_input)
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_wake_up)
        while not self.over:
            self._pass()
        self._end_all()

    def say(self, record):
        self.answers.say(record)

    def _finish(self):
        self.over = True

    def _pass(self):
        self._watch()
        for key, _ in self._selector.select(self._patience()):
            key.data()
        self._look_after()

    def _end_all(self):
        for child in self.children.values():
            child.end({"kind": "stopped", "msg": "the agent ends"})
        for child in self.leaving:
            child.end()
        while self.children or any(child.is_ending for child in self.leaving):
            self._look_after()
            time.sleep(KILL_SECONDS)

    def _watch(self):
        """Watch for what is of interest now: with much to be written, the forks can wait."""
        self._write_answers()
        self._watch_if(self.answers.waiting, self.answers.descriptor, selectors.EVENT_WRITE, self._write_answers)
        for child in self.children.values():
            if child.pipe is not None:
                hear = functools.partial(self._hear, child)
                self._watch_if(not self.answers.enough, child.pipe, selectors.EVENT_READ, hear)

    def _watch_if(self, wanted, descriptor, events, act):
        watched = descriptor in self._selector.get_map()
        if wanted and not watched:
            self._selector.register(descriptor, events, act)
        elif watched and not wanted:
            self._selector.unregister(descriptor)

    def _patience(self):
        every = [*self.children.values(), *self.leaving]
        if any(child.is_ending for child in every):
            return KILL_SECONDS
        first = min((child.deadline for child in every), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def _write_answers(self):
        try:
            self.answers.write()
        except OSError:
            self._finish()  # nobody listens any more

    def _take_wake_up(self):
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            pass  # the signal was before the last pass

    def _take_input(self):
        piece = os.read(self.input, READ_BYTES)
        if not piece:
            self._finish()
            return
        first, *others = piece.split(b"\n")
        self._part += first
        if not others:
            return
        lines = [bytes(self._part), *others]
        self._part = bytearray(lines.pop())
        for line in lines:
            if line.strip():
                self._take(line)

    def _take(self, line):
        try:
            request = requests.parse(line)
        except requests.Invalid as error:
            self._answer(error.id, {"kind": "invalid", "msg": str(error)})
            return
        if request.id in self.children:
            self._answer(None, {"kind": "invalid", "msg": f"request {request.id} is under way"})
        elif request.verb == "stop":
            self._stop(request)
        elif request.verb != "here" and self.verbs.are_stale():
            self.say({"id": request.id, "stale": True})
        else:
            self._start(request)

    def _stop(self, request):
        target = self.children.get(request.body["target"])
        if target is not None:
            target.end({"kind": "stopped", "msg": "it was stopped on request"})
        self._answer(request.id, None)

    def _answer(self, id, error):
        self.say({"id": id, "done": True, "error": error})

    def _start(self, request):
        self.number += 1
        folder = os.path.join(self.verbs.folder, str(self.number))
        try:
            os.mkdir(folder, 0o700)
            child = self._fork(request, folder)
        except FileNotFoundError:
            self._finish()  # somebody removed our folder; the next agent has one again
        except OSError as error:
            self._answer(request.id, {"kind": "internal", "msg": f"can't begin: {error}"})
        else:
            self.children[request.id] = child

    def _fork(self, request, folder):
        until = tree.now_ticks() + int((request.timeout + VANISH_SECONDS) * tree.TICKS)
        agent, work = os.getpid(), self.verbs.work_of(request, folder)
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            raise
        finally:
            if os.getpid() == agent:
                os.close(writing)
        if pid == 0:
            os.close(reading)
            self._let_go()
            fork.become(agent, folder, Report(writing, request.id), until, work)
        return Child(request, pid, reading, folder)

    def _let_go(self):
        """In a fork: close what belongs to the agent and to other requests."""
        self._selector.close()
        self.answers.forget()
        pipes = [child.pipe for child in self.children.values() if child.pipe is not None]
        for descriptor in (self.input, self._woken, self._wake, *pipes):
            os.close(descriptor)
        self.children.clear()

    def _hear(self, child):
        lines = child.read()
        if lines is None:
            self._close_pipe(child)
            child.end()  # unless it is being ended already, it died without a word
            return
        for line in lines:
            kind, rest = line[:1], line[1:]
            if kind == Report.ANSWER:
                self.answers.pass_on(rest + b"\n")
            elif kind == Report.REMEMBER:
                self.verbs.remember(*json.loads(rest))
            elif rest == b"null":
                self._let_leave(child)
            else:
                child.end(json.loads(rest))

    def _let_leave(self, child):
        """It has reported that all went well: from now on it has to go."""
        if child.is_ending:
            return
        self._answer(child.request.id, None)
        del self.children[child.request.id]
        self._close_pipe(child)
        child.deadline = time.monotonic() + LEAVE_SECONDS
        self.leaving.append(child)

    def _close_pipe(self, child):
        self._watch_if(False, child.pipe, 0, None)
        child.close_pipe()

    def _look_after(self):
        now = time.monotonic()
        for child in self.children.values():
            if now >= child.deadline:
                child.end({"kind": "timeout", "msg": f"it took longer than {child.request.timeout:g} seconds"})
        for child in self.leaving:
            if now >= child.deadline or (child.has_exited() and tree.is_led(child.folder)):
                child.end()
        ending = [child for child in (*self.children.values(), *self.leaving) if child.is_ending]
        if ending:
            self._kill(ending)
        gone = [child for child in self.leaving if not child.is_ending and child.has_exited()]
        self._bury(gone)

    def _kill(self, ending):
        snapshot = processes.Snapshot()
        gone = [child for child in ending if child.kill(snapshot)]
        for child in gone:
            while child.pipe is not None and child.is_gone:
                self._hear(child)  # its last words
            if self.children.get(child.request.id) is child:
                self._answer(child.request.id, child.error())
                del self.children[child.request.id]
        self._bury(gone)

    def _bury(self, gone):
        for child in gone:
            if child.pipe is not None:
                self._close_pipe(child)
            child.bury()
        self.leaving = [child for child in self.leaving if child not in gone]
