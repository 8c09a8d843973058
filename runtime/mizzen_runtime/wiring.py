"""Builds everything behind the ports from the configuration. Importing it is what takes a runtime's start its time."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from mizzen_api.contract import RuntimeConfig, ServiceReport, StateReport
from mizzen_runtime import log
from mizzen_runtime.agent.build import BuiltAgent, build_agent
from mizzen_runtime.agent.entrypoint import Host
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.agent_renewal import AgentRenewal
from mizzen_runtime.agent_service import AgentService, InFlight
from mizzen_runtime.config import DEFAULT_CONFIG, ConfigRefused, read_config
from mizzen_runtime.dependencies import Dependencies
from mizzen_runtime.health_report import health_report
from mizzen_runtime.http.asgi import App
from mizzen_runtime.http.management import Reports
from mizzen_runtime.http.traffic import TrafficSettings, agent_card, traffic_app
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.live_settings import DEFAULT_LIVE_SETTINGS, LiveSettingsFolder
from mizzen_runtime.metrics import CONTENT_TYPE, AgentMetrics, ServiceMetrics
from mizzen_runtime.mounted_files import MountedFiles, folders_of, state_of
from mizzen_runtime.mounted_secrets import MountedSecrets, read_secrets
from mizzen_runtime.options import Options
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.service_wiring import ServiceDefinition, define_services
from mizzen_runtime.settings_fields import AgentName
from mizzen_runtime.settings_files import values_of
from mizzen_runtime.tracing import Tracing, begin_tracing

if TYPE_CHECKING:
    from mizzen_api.problems import Problem


@dataclass(frozen=True)
class Runtime:
    """What serves, once everything is built."""

    agent: AgentInForce
    services: RunningServices
    files: MountedFiles
    """Sees to it that changes of mounted files are taken up."""
    tracing: Tracing
    """What traces requests; to be closed behind the last one."""
    app: App
    """Answers on the traffic port."""
    reports: Reports
    """What the management port can tell."""


def build_runtime(options: Options, lifecycle: Lifecycle, host: Host) -> Runtime:
    """Read the configuration and build what it asks for.

    Args:
        options: What the command line said.
        lifecycle: Where the process stands.
        host: Where own code runs at its start.

    Raises:
        ConfigRefused: With everything that is wrong.
    """
    config = read_config(options.config or DEFAULT_CONFIG)
    log.identify(namespace=config.namespace, agent=config.name, revision=config.revision)
    live_folder = options.live_settings or DEFAULT_LIVE_SETTINGS
    seen = {folder: state_of(folder) for folder in (*folders_of(config), live_folder)}
    registry = CollectorRegistry()
    service_metrics = ServiceMetrics(registry)
    reloads = Reloads(service_metrics.count_reload)
    live = LiveSettingsFolder(live_folder, reloads)
    secrets = read_secrets(config)

    def run(definitions: Sequence[ServiceDefinition]) -> RunningServices:
        return RunningServices(definitions, AgentName(config.namespace, config.name), service_metrics, reloads)

    tracing, problems = begin_tracing(config, registry)  # before own code, which may make spans at its start
    built, services = _build(config, secrets, options, host, run, known_problems=problems)
    in_flight = InFlight()
    metrics = AgentMetrics(
        registry,
        namespace=config.namespace,
        agent=config.name,
        revision=config.revision,
        in_flight=lambda: in_flight.count,
    )
    dependencies = Dependencies(services, built.deps_type)
    agent = AgentInForce(built)
    service = AgentService(agent, dependencies, metrics, in_flight, timeout=options.request_timeout)
    settings = _traffic_settings(config, options, built, services)
    lasting = _lasting_state(config, options, built)
    reports = Reports(
        readiness=lambda: {"services": services.ready} if services.states else {},
        metrics=metrics.expose,
        metrics_content_type=CONTENT_TYPE,
        state=lambda: _state(lasting, services, reloads, lifecycle, in_flight),
    )
    renewal = AgentRenewal(config, secrets, agent, reloads)
    files = MountedFiles([*services.watched(), *renewal.watched(), *live.watched()], seen)
    return Runtime(agent, services, files, tracing, traffic_app(service, lifecycle, settings, tracing), reports)


def _build(
    config: RuntimeConfig,
    secrets: MountedSecrets,
    options: Options,
    host: Host,
    run: Callable[[Sequence[ServiceDefinition]], RunningServices],
    *,
    known_problems: Sequence["Problem"],
) -> tuple[BuiltAgent, RunningServices]:
    """Build the agent and find its services.

    Args:
        config: The configuration.
        secrets: What could be read of its Secrets.
        options: What the command line said.
        host: Where own code runs at its start.
        run: Makes what runs the services, once it is known what they are.
        known_problems: What is known to be wrong already.

    Raises:
        ConfigRefused: With these, and the problems of both.
    """
    problems: list[Problem] = [*known_problems]
    built: BuiltAgent | None = None
    with StartWatch(host.seconds, host.give_up) as watch:
        loader = OwnCodeLoader(watch, Redactor([*secrets.values, *_other_secrets(config)]))
        definitions, unknown = define_services(config, loader, doubles=options.test_services)
        services = run(definitions)
        try:
            built = build_agent(config, secrets, host, loader, [definition.key for definition in definitions])
        except ConfigRefused as refused:
            problems.extend(refused.problems)
    problems.extend(unknown)
    problems.extend(services.wire(built.deps_type if built is not None else None, are_all=not unknown))
    if built is None or problems:
        raise ConfigRefused(problems)
    return built, services


def _other_secrets(config: RuntimeConfig) -> list[str]:
    """Give what own code may know beside the models' keys: variables from Secrets, and settings of services."""
    variables = [os.environ.get(name, "") for name in config.secret_variables or ()]
    sources = [source for service in config.services or () for source in service.sources if source.kind == "Secret"]
    return [*variables, *(value for source in sources for value in values_of(source))]


def _traffic_settings(
    config: RuntimeConfig, options: Options, built: BuiltAgent, services: RunningServices
) -> TrafficSettings:
    return TrafficSettings(
        revision=config.revision,
        max_body_bytes=options.max_body_bytes,
        request_timeout=options.request_timeout,
        agent_card=agent_card(
            name=config.name,
            description=built.description,
            revision=config.revision,
            output_schema=built.output_schema,
        ),
        health=lambda: health_report(services.states.values(), ready=services.ready),
    )


def _lasting_state(config: RuntimeConfig, options: Options, built: BuiltAgent) -> StateReport:
    """Give what the runtime reports of itself, apart from what changes."""
    return StateReport(
        runtime_version=version("mizzen"),
        namespace=config.namespace,
        name=config.name,
        revision=config.revision,
        phase="Starting",
        in_flight=0,
        models=built.models,
        test_services=options.test_services,
    )


def _state(
    lasting: StateReport, services: RunningServices, reloads: Reloads, lifecycle: Lifecycle, in_flight: InFlight
) -> bytes:
    now = {
        "phase": lifecycle.phase,
        "in_flight": in_flight.count,
        "services": tuple(
            ServiceReport(name=state.name, healthy=state.healthy, reason=state.reason)
            for state in services.states.values()
        ),
        "reload_failures": reloads.failures,
    }
    return lasting.model_copy(update=now).model_dump_json().encode()
