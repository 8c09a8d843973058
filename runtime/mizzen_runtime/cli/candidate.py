"""An agent made ready to be checked and run: its configuration, its mounts and its environment."""

import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mizzen_api.contract import CONFIG_FILE, LIVE_DIRECTORY, LIVE_FILE, MOUNT_ROOT, RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_api.rendering import live_settings, runtime_config
from mizzen_runtime.cli.check_report import CheckReport
from mizzen_runtime.cli.child import start_child
from mizzen_runtime.cli.environment import variables_of
from mizzen_runtime.cli.findings import Finding, finding
from mizzen_runtime.cli.mounts import Mount, lay_out, mounts_of, write_folder
from mizzen_runtime.cli.objects import AgentFile, Objects
from mizzen_runtime.cli.references import located

REVISION = "local"
"""What callers see as the revision."""
_CHECK = "mizzen_runtime.cli.check"
_WAIT_SECONDS = 0.1


class InterruptedCheckError(Exception):
    """Somebody asked to stop while own code was being checked."""


@dataclass(frozen=True)
class Candidate:
    """An agent as the files describe it."""

    file: AgentFile
    config: RuntimeConfig
    """Rendered as for a pod, so that two can be compared wherever they are mounted."""
    variables: dict[str, str]
    """Environment variables of its pod."""
    findings: tuple[Finding, ...]
    """What was found on the way."""

    @property
    def namespace(self) -> str:
        """Where what it refers to is."""
        return self.file.agent.metadata.namespace

    def runs_like(self, other: "Candidate") -> bool:
        """Tell whether a process of the one is as good as one of the other; what is mounted may differ."""
        return (self.config, self.variables) == (other.config, other.variables)


@dataclass(frozen=True)
class Prepared:
    """A candidate whose files are in place."""

    candidate: Candidate
    root: Path
    """The folder of the whole command, gone at its end."""
    folder: Path
    """The candidate's own in it."""
    mounts: tuple[Mount, ...]

    @property
    def config(self) -> Path:
        """The runtime's configuration."""
        return self.folder / CONFIG_FILE

    @property
    def arguments(self) -> tuple[str, ...]:
        """What tells a runtime where its files are."""
        return ("--config", str(self.config), "--live-settings", str(self.live_settings))

    @property
    def live_settings(self) -> Path:
        """The folder of what changes while it runs."""
        return self.folder / Path(LIVE_DIRECTORY).relative_to(MOUNT_ROOT)

    def lay_out_live_settings(self, candidate: Candidate) -> bool:
        """Put in place what the operator puts into a ConfigMap of its own; gives whether anything has changed."""
        settings = live_settings(candidate.file.agent)
        return write_folder(
            self.live_settings, {LIVE_FILE: settings.model_dump_json().encode()} if settings is not None else {}
        )

    @property
    def environment(self) -> dict[str, str]:
        """The shell's variables, and over them the agent's own."""
        return {**os.environ, **self.candidate.variables}


def candidate_of(file: AgentFile, objects: Objects) -> Candidate:
    """Render an agent."""
    variables, findings = variables_of(file, objects)
    image = file.agent.spec.pod.image
    if image is not None:
        message = f"the image {image!r} is not used here"
        remedy = "own code is imported from what is installed, and from the folder that mizzen is started in"
        place = file.document.place_of("spec.pod.image")
        findings.append(finding("note", place, "spec.pod.image", message, remedy))
    return Candidate(file, runtime_config(file.agent, REVISION), variables, tuple(findings))


def prepare(candidate: Candidate, objects: Objects, root: Path, name: str) -> Prepared:
    """Put everything in place, in a new folder `name` below `root`, that the operator and kubelet put into a pod."""
    folder = root / name
    folder.mkdir()
    config = runtime_config(candidate.file.agent, REVISION, root=str(folder))
    prepared = Prepared(candidate, root, folder, tuple(mounts_of(config)))
    lay_out(prepared.mounts, objects, candidate.namespace)
    prepared.lay_out_live_settings(candidate)
    prepared.config.write_text(config.model_dump_json(exclude_none=True), encoding="utf-8")
    return prepared


def check(
    prepared: Prepared, objects: Objects, arguments: Sequence[str], stop: threading.Event
) -> tuple[list[Finding], tuple[str, ...]]:
    """Check an agent with the runtime's own code, in a process of its own.

    Args:
        prepared: The agent.
        objects: What the files hold.
        arguments: Further arguments of the runtime.
        stop: Set when nobody waits for the outcome any more.

    Returns:
        All that was found, and where its own code is.

    Raises:
        InterruptedCheckError: `stop` was set.
    """
    report = prepared.folder / "check.json"
    command = [str(report), *prepared.arguments, *arguments]
    with start_child(_CHECK, command, prepared.root, prepared.environment, stdout=sys.stderr) as process:
        while process.poll() is None:
            if stop.wait(_WAIT_SECONDS):
                process.kill()
                raise InterruptedCheckError
    told = _report(report, process.returncode)
    candidate = prepared.candidate
    found = [located(problem, candidate.file, candidate.config, objects) for problem in told.problems]
    return [*candidate.findings, *found], told.code


def _report(report: Path, code: int) -> CheckReport:
    try:
        return CheckReport.model_validate_json(report.read_bytes())
    except (OSError, ValidationError):
        message = f"the check ended with exit code {code} before it was done"
        remedy = "own code may have ended it while it was imported; see the lines before this one"
        return CheckReport(problems=(Problem(field="spec", message=message, remedy=remedy),))
