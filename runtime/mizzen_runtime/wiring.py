"""Builds everything behind the ports from the configuration. Importing it is what takes a runtime's start its time."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry

from mizzen_api.contract import BreakerReport, RuntimeConfig, ServiceReport, StateReport
from mizzen_api.health import RuntimeHealth
from mizzen_api.limits import RuntimeLimits
from mizzen_api.problems import Problem
from mizzen_runtime import log
from mizzen_runtime.admission import AdmissionGate
from mizzen_runtime.admission_metrics import observed_gate
from mizzen_runtime.agent.build import BuiltAgent, build_agent
from mizzen_runtime.agent.entrypoint import Host
from mizzen_runtime.agent.models import chain_of
from mizzen_runtime.agent.own_base import BuiltBase
from mizzen_runtime.agent.prices import observed_models
from mizzen_runtime.agent_renewal import AgentRenewal
from mizzen_runtime.agent_service import AgentService
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.breakers.metrics import BreakerCollector
from mizzen_runtime.config import DEFAULT_CONFIG, ConfigRefused, read_config
from mizzen_runtime.dependencies import Dependencies
from mizzen_runtime.health.metrics import HealthCollector
from mizzen_runtime.health.tally import RequestTally
from mizzen_runtime.health.watch import HealthSources, HealthWatch
from mizzen_runtime.health_report import HealthReport, Room, health_report, not_closed, why_unready
from mizzen_runtime.http.asgi import App
from mizzen_runtime.http.body import BodyKinds
from mizzen_runtime.http.management import Reports
from mizzen_runtime.http.traffic import TrafficSettings, agent_card, traffic_app
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.live_settings import DEFAULT_LIVE_SETTINGS, LiveSettingsFolder
from mizzen_runtime.loop_watch import LoopWatch
from mizzen_runtime.metrics import CONTENT_TYPE, RequestMetrics, ServiceMetrics, watch_loop_lag
from mizzen_runtime.mounted_files import MountedFiles, folders_of, state_of
from mizzen_runtime.mounted_secrets import MountedSecrets, read_secrets
from mizzen_runtime.options import Options
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.production_agent import AgentConfig, Platform
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.run_frame import Frames, InFlight
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.served_agent import ServedAgent, agent_config, serve
from mizzen_runtime.service_wiring import ServiceDefinition, define_services
from mizzen_runtime.settings_fields import AgentName
from mizzen_runtime.settings_files import values_of
from mizzen_runtime.thread_pool import thread_pool
from mizzen_runtime.tracing import Tracing, begin_tracing

_MODELS_UNUSED = Problem(
    field="spec.models",
    message="the entrypoint derives from ProductionAgentBase, and asks models by itself",
    remedy="remove spec.models; what the code's own models need goes into spec.pod.env",
)


@dataclass(frozen=True)
class Runtime:
    """What serves, once everything is built."""

    agent: ServedAgent
    models: tuple[str, ...]
    """The chain by name."""
    services: RunningServices
    health: HealthWatch
    """Knows how the pod is, as long as it runs."""
    files: MountedFiles
    """Sees to it that changes of mounted files are taken up."""
    tracing: Tracing
    """What traces requests; to be closed behind the last one."""
    app: App
    """Answers on the traffic port."""
    reports: Reports
    """What the management port can tell."""
    limits: RuntimeLimits
    """How much at once, and how long."""
    gate: AdmissionGate
    """Gives requests their turn."""
    loop_watch: LoopWatch
    """Sees when own code holds up the event loop."""


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
    breakers = Breakers()
    registry.register(BreakerCollector(breakers))

    def run(definitions: Sequence[ServiceDefinition]) -> RunningServices:
        return RunningServices(definitions, AgentName(config.namespace, config.name), service_metrics, reloads)

    tracing, problems = begin_tracing(config, registry)  # before own code, which may make spans at its start
    limits = config.limits or RuntimeLimits()
    allowed = agent_config(limits, options.threads)
    built, services = _build(
        config, secrets, options, host, run, allowed=allowed, breakers=breakers, known_problems=problems
    )
    gate = observed_gate(registry, max_running=limits.max_concurrent_requests, max_queued=limits.max_queued_requests)
    tally, health = _watch_health(config.health or RuntimeHealth(), services, breakers, lifecycle)
    registry.register(HealthCollector(health.state))
    in_flight = InFlight()
    metrics = RequestMetrics(
        registry,
        namespace=config.namespace,
        agent=config.name,
        revision=config.revision,
        in_flight=lambda: in_flight.count,
        models=observed_models(built.members, [endpoint.price for endpoint in chain_of(config)]),
        also=tally.observe,
    )
    frames = Frames(gate, metrics, in_flight)
    dependencies = Dependencies(services, built.deps_type)
    platform = Platform(frames, thread_pool(options.threads), dependencies.for_run, lambda: health.state().status)
    agent = serve(built, config.name, allowed, platform)
    settings = _traffic_settings(
        config,
        options,
        limits,
        built,
        metrics=metrics,
        health=partial(health_report, health, services, breakers, Room(gate, limits)),
    )
    lasting = _lasting_state(config, options, limits, built)
    reports = Reports(
        readiness=lambda: {"services": services.ready} if services.states else {},
        metrics=metrics.expose,
        metrics_content_type=CONTENT_TYPE,
        state=lambda: _state(
            lasting, services, reloads, lifecycle, breakers=breakers, gate=gate, health=health, in_flight=in_flight
        ),
    )
    watched = [*services.watched(), *live.watched()]
    if agent.in_force is not None:
        watched += AgentRenewal(config, secrets, agent.in_force, reloads).watched()
    loop_watch = LoopWatch((config.entrypoint or "").partition(":")[0].partition(".")[0])
    watch_loop_lag(registry, lambda: loop_watch.lag)
    return Runtime(
        agent=agent,
        models=built.models,
        services=services,
        health=health,
        files=MountedFiles(watched, seen),
        tracing=tracing,
        app=traffic_app(AgentService(agent.agent, frames), lifecycle, settings, tracing),
        reports=reports,
        limits=limits,
        gate=gate,
        loop_watch=loop_watch,
    )


def _build(
    config: RuntimeConfig,
    secrets: MountedSecrets,
    options: Options,
    host: Host,
    run: Callable[[Sequence[ServiceDefinition]], RunningServices],
    *,
    allowed: AgentConfig,
    breakers: Breakers,
    known_problems: Sequence[Problem],
) -> tuple[BuiltAgent | BuiltBase, RunningServices]:
    """Build the agent and find its services.

    Args:
        config: The configuration.
        secrets: What could be read of its Secrets.
        options: What the command line said.
        host: Where own code runs at its start.
        run: Makes what runs the services, once it is known what they are.
        allowed: What the agent may take.
        breakers: Makes those of models and services.
        known_problems: What is known to be wrong already.

    Raises:
        ConfigRefused: With these, and the problems of both.
    """
    problems: list[Problem] = [*known_problems]
    built: BuiltAgent | BuiltBase | None = None
    with StartWatch(host.seconds, host.give_up) as watch:
        loader = OwnCodeLoader(watch, Redactor([*secrets.values, *_other_secrets(config)]))
        definitions, unknown = define_services(config, loader, breakers, doubles=options.test_services)
        services = run(definitions)
        try:
            keys = [definition.key for definition in definitions]
            built = build_agent(config, secrets, host, loader, keys, limits=allowed, breakers=breakers)
        except ConfigRefused as refused:
            problems.extend(refused.problems)
    if isinstance(built, BuiltBase) and config.models:
        problems.append(_MODELS_UNUSED)
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


def _watch_health(
    settings: RuntimeHealth, services: RunningServices, breakers: Breakers, lifecycle: Lifecycle
) -> tuple[RequestTally, HealthWatch]:
    """Give what is to be told of each request that ends, and what watches over the pod's health."""
    tally = RequestTally(settings.max_latency_seconds)
    sources = HealthSources(
        requests=tally,
        unready=lambda: why_unready(services.states.values(), lifecycle),
        unhealthy_services=lambda: {
            state.name: state.reason for state in services.states.values() if state.healthy is False
        },
        breakers=partial(not_closed, breakers),
    )
    return tally, HealthWatch(settings, sources)


def _traffic_settings(
    config: RuntimeConfig,
    options: Options,
    limits: RuntimeLimits,
    built: BuiltAgent | BuiltBase,
    *,
    metrics: RequestMetrics,
    health: Callable[[], HealthReport],
) -> TrafficSettings:
    return TrafficSettings(
        revision=config.revision,
        kinds=BodyKinds.of(built.input_type) if isinstance(built, BuiltBase) else BodyKinds(),
        max_body_bytes=options.max_body_bytes,
        request_timeout=limits.request_timeout_seconds,
        batch_timeout=limits.batch_timeout_seconds,
        count_batch=metrics.count_batch,
        agent_card=_agent_card(config, built),
        health=health,
        metrics=metrics.snapshot,
    )


def _agent_card(config: RuntimeConfig, built: BuiltAgent | BuiltBase) -> dict[str, Any]:
    return agent_card(
        name=config.name,
        description=built.description,
        revision=config.revision,
        input_schema=built.input_schema if isinstance(built, BuiltBase) else None,
        output_schema=built.output_schema,
    )


def _lasting_state(
    config: RuntimeConfig, options: Options, limits: RuntimeLimits, built: BuiltAgent | BuiltBase
) -> StateReport:
    """Give what the runtime reports of itself, apart from what changes."""
    return StateReport(
        runtime_version=version("mizzen"),
        namespace=config.namespace,
        name=config.name,
        revision=config.revision,
        phase="Starting",
        in_flight=0,
        limits=limits,
        models=built.models,
        test_services=options.test_services,
    )


def _state(
    lasting: StateReport,
    services: RunningServices,
    reloads: Reloads,
    lifecycle: Lifecycle,
    *,
    breakers: Breakers,
    gate: AdmissionGate,
    health: HealthWatch,
    in_flight: InFlight,
) -> bytes:
    now = {
        "phase": lifecycle.phase,
        "in_flight": in_flight.count,
        "queued": gate.queued,
        "services": tuple(
            ServiceReport(name=state.name, healthy=state.healthy, reason=state.reason)
            for state in services.states.values()
        ),
        "breakers": tuple(
            BreakerReport(name=state.name, state=state.state.value) for state in breakers.states().values()
        ),
        "reload_failures": reloads.failures,
        "health": health.state(),
    }
    return lasting.model_copy(update=now).model_dump_json().encode()
