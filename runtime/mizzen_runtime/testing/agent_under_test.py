"""An agent as the runtime builds and runs it, in the process of a test: without ports, with test doubles."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import yaml
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import RuntimeConfig, RuntimeModel, RuntimeService
from mizzen_api.limits import RuntimeLimits
from mizzen_api.names import KIND
from mizzen_api.problems import Problem, problems_of
from mizzen_api.rendering import runtime_config
from mizzen_runtime.admission import AdmissionGate
from mizzen_runtime.agent.build import BuiltAgent, build_agent, built_around
from mizzen_runtime.agent.chain import chain
from mizzen_runtime.agent.entrypoint import Host
from mizzen_runtime.agent.models import TEST_MODEL, known_providers
from mizzen_runtime.agent.own_base import BuiltBase, built_base
from mizzen_runtime.agent.prices import observed_models
from mizzen_runtime.agent_service import AgentService, RunInput, RunRequest, RunResult, StreamEvent
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.dependencies import Dependencies
from mizzen_runtime.metrics import RequestMetrics, ServiceMetrics
from mizzen_runtime.mounted_secrets import MountedSecrets
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.production_agent import AgentConfig, Platform, ProductionAgentBase
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.run_frame import Frames, InFlight
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.served_agent import agent_config, serve
from mizzen_runtime.service_wiring import ServiceDefinition, define_services
from mizzen_runtime.settings_fields import AgentName
from mizzen_runtime.testing.doubles import DOUBLES, NAMES
from mizzen_runtime.thread_pool import thread_pool

T = TypeVar("T")

Source = AbstractAgent[Any, Any] | ProductionAgentBase[Any, Any] | Path | str
"""An agent of own code, or the file of an AgentDeployment."""
StandIns = Mapping[Callable[..., Any] | str, object]
"""Services of the test's own, by their interface, or by their name in the resource."""

START_SECONDS = 30.0
"""What the services have until each was asked for its health for the first time."""
_NAMESPACE = "test"
_NAME = "agent"
_REVISION = "under-test"
_GIVE = "give the test's own: start_agent(…, services={…})"


class StartAgent(Protocol):
    """What the fixture `start_agent` gives."""

    async def __call__(
        self, source: Source, *, model: Model | None = None, services: StandIns | None = None
    ) -> "AgentUnderTest":
        """Start an agent, which ends with the test.

        Args:
            source: An agent of own code, or the file of an AgentDeployment.
            model: Answers in the place of all models; pydantic-ai's TestModel, which calls no tools, without it. One
                that derives from `ProductionAgentBase` asks its own all the same.
            services: Take the place of services, by their interface or their name. Where there is none, a service
                whose interface is ours is a test double, and another one is what the resource says.

        Raises:
            ConfigRefused: With all problems, as the runtime tells them at its start.
            ValueError: The file holds no AgentDeployment, or several.
        """
        ...


class AgentUnderTest:
    """An agent that answers as in a pod: deadline, one request scope for each run, the same errors."""

    def __init__(self, agent: AgentService, services: Mapping[str, object]) -> None:
        """Wrap what runs the agent; see `agent_under_test`.

        Args:
            agent: Runs it.
            services: The test doubles and the test's own, by name.
        """
        self._agent = agent
        self._services = services

    async def run(self, given: RunInput) -> RunResult:
        """Ask the agent, and give its answer with `output` and `usage`.

        Raises:
            RunError: There is no answer; `outcome` says why, and the cause is what was raised.
        """
        return await self._agent.run(_request(given))

    async def stream(self, given: RunInput) -> AsyncGenerator[StreamEvent, None]:
        """Ask the agent, and give its answer piece by piece: any number of `TextDelta`, then one `RunResult`.

        Raises:
            RunError: As for `run`.
        """
        async with aclosing(self._agent.stream(_request(given))) as events:
            async for event in events:
                yield event

    def service(self, kind: type[T], name: str | None = None) -> T:
        """Give a test double, or a service of the test's own, such as `agent.service(TestDatabaseService)`.

        Args:
            kind: Its class.
            name: What it is called, where several are of this class.

        Raises:
            LookupError: There is none, or there are several and no name was given.
        """
        known = self._services if name is None else {name: self._services.get(name)}
        found = [each for each in known.values() if isinstance(each, kind)]
        if len(found) != 1:
            there = ", ".join(f"{each} ({type(service).__name__})" for each, service in self._services.items())
            raise LookupError(f"{len(found)} services of the test are a {kind.__name__}; there are: {there or 'none'}")
        return found[0]


@asynccontextmanager
async def agent_under_test(
    source: Source, *, model: Model | None = None, services: StandIns | None = None
) -> AsyncIterator[AgentUnderTest]:
    """Run an agent for as long as the context is entered; arguments and errors as `StartAgent` says."""
    stand_ins = _StandIns(services or {})
    registry = CollectorRegistry()
    parts = _Parts(model or TestModel(call_tools=[]), stand_ins, registry)
    if isinstance(source, Path | str):
        config = _config_of(Path(source))
        host = Host(asyncio.get_running_loop(), threading.get_ident(), threading.TIMEOUT_MAX, _never)
        # In another thread, as in a pod: an async factory of own code runs on this loop meanwhile.
        built, running = await asyncio.to_thread(parts.of_config, config, host)
        limits = agent_config(config.limits or RuntimeLimits())
    else:
        built, running = parts.of_agent(source)
        limits = source.config if isinstance(source, ProductionAgentBase) else AgentConfig()
    frames = parts.frames(limits)
    dependencies = Dependencies(running, built.deps_type)
    with thread_pool(limits.max_threads) as threads:
        served = serve(built, _NAME, limits, Platform(frames, threads, dependencies.for_run))
        async with served.connected():
            try:
                await running.start()
                async with asyncio.timeout(START_SECONDS):
                    # What is asked in the background sets no event: nobody in a pod waits for it.
                    while any(state.healthy is None for state in running.states.values()):  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
                yield AgentUnderTest(AgentService(served.agent, frames), stand_ins.used)
            finally:
                await running.close()


class _StandIns:
    """What takes the place of services."""

    def __init__(self, given: StandIns) -> None:
        self._given = given
        self.used: dict[str, object] = {}
        """Test doubles and the test's own, by name."""

    def in_place(self, definitions: Sequence[ServiceDefinition]) -> tuple[list[ServiceDefinition], list[Problem]]:
        """Give the services of a resource as the test has them, and what is wrong with what the test gave."""
        placed = [self._in_place_of(each) for each in definitions]
        problems = [problem for key in self._given for problem in _mistaken(key, definitions)]
        return placed, [*problems, *(problem for each in placed for problem in _unconfigured(each))]

    def of_agent(self) -> tuple[list[ServiceDefinition], list[Problem]]:
        """Give the services of an agent without a resource, the doubles and the test's own; and what is wrong."""
        names = dict(NAMES)
        problems: list[Problem] = []
        for key in self._given:
            if isinstance(key, str):
                message = f"without a resource, nothing says what {key!r} is"
                problems.append(Problem(field="services", message=message, remedy="give it by its interface"))
            else:
                names.setdefault(key, _shown(key))
        return [self._in_place_of(_definition(interface, name)) for interface, name in names.items()], problems

    def _in_place_of(self, definition: ServiceDefinition) -> ServiceDefinition:
        name = definition.service.name
        given = self._given.get(name, self._given.get(definition.interface))
        if given is None and definition.interface in DOUBLES:
            given = definition.make()
        if given is None:
            return definition
        self.used[name] = given
        # One for the whole test, whatever its scope: what it was asked for is to be seen afterwards.
        lasting = definition.service.model_copy(update={"scope": "singleton"})
        return replace(definition, service=lasting, make=_giving(given), settings=None)


@dataclass(frozen=True)
class _Parts:
    """Puts agent and services together, as `mizzen_runtime.wiring` does with what a pod has."""

    model: Model
    stand_ins: _StandIns
    registry: CollectorRegistry

    def frames(self, limits: AgentConfig) -> Frames:
        """Give what the requests of the test have around them."""
        in_flight = InFlight()
        metrics = RequestMetrics(
            self.registry,
            namespace=_NAMESPACE,
            agent=_NAME,
            revision=_REVISION,
            in_flight=lambda: in_flight.count,
            models=observed_models((self.model,), ()),
        )
        gate = AdmissionGate(max_running=limits.max_concurrent_requests, max_queued=limits.max_queued_requests)
        return Frames(gate, metrics, in_flight)

    def of_agent(
        self, agent: AbstractAgent[Any, Any] | ProductionAgentBase[Any, Any]
    ) -> tuple[BuiltAgent | BuiltBase, RunningServices]:
        """Give an agent of own code, and its services."""
        definitions, problems = self.stand_ins.of_agent()
        built: BuiltAgent | BuiltBase
        if isinstance(agent, ProductionAgentBase):
            built = built_base(agent, agent.config, Redactor([]))
            if problems:
                raise ConfigRefused(problems)
        else:
            built = built_around(agent, (TEST_MODEL,), (self.model,), Redactor([]), tuple(problems))
        return self._with_model(built), self._wired(definitions, built, AgentName(_NAMESPACE, agent.name or _NAME))

    def of_config(self, config: RuntimeConfig, host: Host) -> tuple[BuiltAgent | BuiltBase, RunningServices]:
        """Give the agent that a resource describes or names, and its services."""
        secrets = MountedSecrets({}, {secret.name: f"made-up-{secret.name}" for secret in config.secrets or ()}, ())
        with StartWatch(host.seconds, host.give_up) as watch:
            # The log is pytest's, and stays as it is.
            loader = OwnCodeLoader(watch, Redactor([]), restore_log=lambda _package: None)
            breakers = Breakers()
            definitions, unknown = define_services(config, loader, breakers, doubles=True)
            placed, problems = self.stand_ins.in_place(definitions)
            problems = list(unknown) or problems  # what is not known cannot be replaced either
            try:
                keys = [each.key for each in placed]
                limits = agent_config(config.limits or RuntimeLimits())
                built = build_agent(config, secrets, host, loader, keys, limits=limits, breakers=breakers)
            except ConfigRefused as refused:
                raise ConfigRefused([*problems, *refused.problems]) from refused
        if problems:
            raise ConfigRefused(problems)
        return self._with_model(built), self._wired(placed, built, AgentName(config.namespace, config.name))

    def _with_model(self, built: BuiltAgent | BuiltBase) -> BuiltAgent | BuiltBase:
        """Give the agent with the test's model, without a breaker: a test may let it fail as often as it likes."""
        return built if isinstance(built, BuiltBase) else replace(built, model=chain([(TEST_MODEL, self.model)]))

    def _wired(
        self, definitions: Sequence[ServiceDefinition], built: BuiltAgent | BuiltBase, name: AgentName
    ) -> RunningServices:
        metrics = ServiceMetrics(self.registry)
        running = RunningServices(definitions, name, metrics, Reloads(metrics.count_reload))
        if problems := running.wire(built.deps_type):
            raise ConfigRefused(problems)
        return running


def _config_of(path: Path) -> RuntimeConfig:
    """Read the AgentDeployment of a file, and render it with the test's model in the place of its chain."""
    documents = [each for each in yaml.safe_load_all(path.read_text()) if isinstance(each, dict)]
    found = [each for each in documents if each.get("kind") == KIND]
    if len(found) != 1:
        raise ValueError(f"{path} holds {len(found)} documents of kind {KIND}; one is needed")
    try:
        config = runtime_config(AgentDeployment.model_validate(found[0]), _REVISION)
    except ValidationError as error:
        raise ConfigRefused(problems_of(error)) from error
    return config.model_copy(
        update={"models": (RuntimeModel(model=TEST_MODEL),), "agent": _for_any_model(config.agent)}
    )


def _for_any_model(agent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give an agent's spec without its model, and without what only that model's provider knows."""
    if agent is None:
        return None
    spec = {key: value for key, value in agent.items() if key != "model"}
    if isinstance(settings := spec.get("model_settings"), dict):
        providers = known_providers()
        spec["model_settings"] = {
            key: value for key, value in settings.items() if key.partition("_")[0] not in providers
        }
    return spec


def _definition(interface: Callable[..., Any], name: str) -> ServiceDefinition:
    service = RuntimeService(name=name, interface=_shown(interface), implementation="test")
    return ServiceDefinition(service, "services", interface, DOUBLES.get(interface, interface), None)


def _mistaken(key: Callable[..., Any] | str, definitions: Sequence[ServiceDefinition]) -> Iterator[Problem]:
    """Tell of what a test gave where it stands for no service, or for no single one."""
    meant = [each.service.name for each in definitions if key in {each.service.name, each.interface}]
    if not meant:
        there = ", ".join(f"{each.service.name} ({_shown(each.interface)})" for each in definitions)
        message = f"the agent has no service {_shown(key)}"
        yield Problem(field="services", message=message, remedy=f"give one that there is: {there or 'there is none'}")
    elif len(meant) > 1:
        message = f"several services implement {_shown(key)}: {', '.join(meant)}"
        yield Problem(field="services", message=message, remedy="give each by its name")


def _unconfigured(definition: ServiceDefinition) -> Sequence[Problem]:
    """Tell of a service whose settings are in objects that no test has."""
    service = definition.service
    if definition.settings is None or not service.sources:
        return ()
    objects = " and ".join(f"{source.kind} {source.name!r}" for source in service.sources)
    message = f"the settings of service {service.name!r} are in {objects}, which a test does not have"
    return (Problem(field=definition.field, message=message, remedy=_GIVE),)


def _giving(service: object) -> Callable[[], object]:
    def give() -> object:
        return service

    give.__annotations__["return"] = type(service)  # so that it is checked against its interface
    return give


def _request(given: RunInput) -> RunRequest:
    return RunRequest(id=uuid.uuid4().hex, input=given, arrived=time.perf_counter())


def _shown(key: object) -> str:
    return repr(key) if isinstance(key, str) else getattr(key, "__name__", repr(key))


def _never(problem: Problem) -> NoReturn:
    raise AssertionError(problem)
