"""`mizzen run`: one agent on this machine, from the files that a cluster gets."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mizzen_api.names import KIND
from mizzen_runtime.cli.arguments import RunOptions
from mizzen_runtime.cli.candidate import Candidate, InterruptedCheckError, Prepared, candidate_of, check, prepare
from mizzen_runtime.cli.changes import Changes
from mizzen_runtime.cli.choice import choose, needs_name
from mizzen_runtime.cli.console import Console
from mizzen_runtime.cli.files import Inputs
from mizzen_runtime.cli.findings import Finding, errors_among, strict
from mizzen_runtime.cli.introduction import introduction, url_of
from mizzen_runtime.cli.mounts import lay_out, temporary_root
from mizzen_runtime.cli.objects import Objects
from mizzen_runtime.cli.references import located
from mizzen_runtime.cli.serving import RuntimeProcess, runtime_arguments, taken_ports
from mizzen_runtime.cli.state_watch import StateWatch
from mizzen_runtime.cli.stop import AT_ONCE, Stop, signals_noted
from mizzen_runtime.mounted_files import CHECK_SECONDS

TICK_SECONDS = 0.5
"""From one look at the files, and at the agent, to the next."""
_FAILED = 1
_USAGE = 2


def run(options: RunOptions, console: Console) -> int:
    """Serve an agent until somebody asks to stop.

    Returns:
        The exit code: 0 when asked to stop, 1 when the agent cannot be run, 2 when it is not clear which one.
    """
    inputs = Inputs(options.files)
    inputs.wait_for_pipes()
    stop = Stop()
    with signals_noted(stop), temporary_root() as root:
        try:
            code = _Session(options, inputs, console, root, stop).run()
        except InterruptedCheckError:
            code = 0
    return AT_ONCE if stop.at_once else code


@dataclass
class _Running:
    """What serves at this moment."""

    prepared: Prepared
    process: RuntimeProcess
    states: StateWatch


class _Session:
    """One `mizzen run`, from its first look at the files to its end."""

    def __init__(self, options: RunOptions, inputs: Inputs, console: Console, root: Path, stop: Stop) -> None:
        self._options = options
        self._console = console
        self._root = root
        self._stop = stop
        self._inputs = inputs
        self._changes = Changes(inputs)
        self._objects = Objects((), {})
        self._starts = 0

    def run(self) -> int:
        self._objects, findings = self._inputs.read()
        file = choose(self._objects, self._options.name, findings)
        if file is None:
            self._console.tell(findings)
            return _USAGE if needs_name(self._objects, self._options.name) else _FAILED
        prepared, found = self._check(candidate_of(file, self._objects), self._objects)
        self._console.tell([*findings, *found])
        if errors_among([*findings, *found]):
            return _FAILED
        running = self._start(prepared)
        if running is None:
            return _FAILED if not self._stop.asked else 0
        for line in introduction(file.agent, prepared.candidate.config, self._options, self._console):
            self._console.say(line)
        try:
            return self._serve(running)
        finally:
            running.process.end(lambda: self._stop.at_once)

    def _serve(self, running: _Running) -> int:
        """Keep it running, and changes taken up."""
        while not self._stop.event.wait(TICK_SECONDS):
            if running.process.exit_code is not None:
                self._console.say(f"the agent has ended by itself, with exit code {running.process.exit_code}")
                return _FAILED
            self._tell_state(running)
            if self._options.reload and (changed := self._changes.settled()) is not None:
                fresh = self._take_up(running, code_changed=changed[1])
                if fresh is None:
                    return _FAILED if not self._stop.asked else 0
                running.prepared, running.process, running.states = fresh.prepared, fresh.process, fresh.states
        self._console.say("ending: running requests are answered first; Ctrl-C once more ends at once")
        return 0

    def _take_up(self, running: _Running, *, code_changed: bool) -> _Running | None:
        """Take up changes; gives what runs from now on, and None if nothing does."""
        objects, findings = self._inputs.read()
        file = choose(objects, self._options.name, findings)
        if file is None or errors_among(findings):
            return self._unchanged(running, findings)
        candidate = candidate_of(file, objects)
        if candidate.runs_like(running.prepared.candidate) and not code_changed:
            self._objects = objects
            self._swap(running.prepared, candidate)
            return replace(running, prepared=replace(running.prepared, candidate=candidate))  # its lines are others
        prepared, found = self._check(candidate, objects)
        if self._changes.pending():
            shutil.rmtree(prepared.folder, ignore_errors=True)
            return running  # what was checked is not what is there now, and would be started
        if errors_among(found):
            return self._unchanged(running, [*findings, *found])
        self._console.tell([*findings, *found])
        self._objects = objects
        reason = _reason(running.prepared.candidate, candidate)
        self._console.say(f"{reason}: the running agent answers what it has begun, then a new one takes its place")
        running.process.end(lambda: self._stop.at_once)
        shutil.rmtree(running.prepared.folder)
        fresh = self._start(prepared)
        if fresh is not None:
            self._console.say(f"{file.full_name} serves again at {url_of(self._options, self._options.port)}")
        return fresh

    def _unchanged(self, running: _Running, findings: Sequence[Finding]) -> _Running:
        self._console.tell(findings)
        self._console.say("the change is not taken up: what runs goes on as it was")
        return running

    def _swap(self, prepared: Prepared, candidate: Candidate) -> None:
        """Bring changed contents to where the running agent finds them."""
        changed = lay_out(prepared.mounts, self._objects, candidate.namespace)
        is_live = prepared.lay_out_live_settings(candidate)
        if is_live:
            self._console.say(f"spec.logging has changed: the running agent takes it up within {CHECK_SECONDS:g} s")
        for name in dict.fromkeys(f"{mount.kind} {mount.name}" for mount in changed):
            self._console.say(f"{name} has changed: the running agent takes it up within {CHECK_SECONDS:g} s")
        if not changed and not is_live:
            self._console.say("the files have changed, and nothing that concerns the running agent")

    def _check(self, candidate: Candidate, objects: Objects) -> tuple[Prepared, list[Finding]]:
        """Put a candidate's files in place and check it; what a cluster might have must be in the files here."""
        self._starts += 1
        prepared = prepare(candidate, objects, self._root, str(self._starts))
        findings, code = check(prepared, objects, runtime_arguments(self._options), self._stop.event)
        findings = strict(findings)
        if errors_among(findings):
            shutil.rmtree(prepared.folder)
        else:
            self._changes.watch_code(code)
        return prepared, findings

    def _start(self, prepared: Prepared) -> _Running | None:
        """Start an agent that was checked; gives None, and says why, if it does not come up."""
        if taken := taken_ports(self._options):
            self._console.tell(taken)
            self._console.say("the agent did not start")
            return None
        process = RuntimeProcess(prepared, self._options)
        if process.wait_until_serving(lambda: self._stop.asked):
            return _Running(prepared, process, StateWatch(prepared.candidate.config))
        process.end(lambda: self._stop.at_once)
        if not self._stop.asked:
            candidate = prepared.candidate
            problems = process.problems()
            self._console.tell(
                located(problem, candidate.file, candidate.config, self._objects)
                if problem.field.startswith("spec.")
                else Finding("error", None, problem)
                for problem in problems
            )
            self._console.say(f"the agent did not start: exit code {process.exit_code}")
        return None

    def _tell_state(self, running: _Running) -> None:
        state = running.process.state()
        if state is None:
            return
        for line in running.states.news(state):
            self._console.say(line)
        candidate = running.prepared.candidate
        failures = running.states.new_failures(state)
        self._console.tell(
            strict(located(problem, candidate.file, candidate.config, self._objects) for problem in failures)
        )
        if failures:
            self._console.say("the changed contents are not taken up: the agent goes on with those before")


def _reason(before: Candidate, now: Candidate) -> str:
    if before.config != now.config:
        return f"{KIND} {now.file.full_name} has changed"
    return "own code has changed" if before.runs_like(now) else "a variable of spec.pod.env has changed"
