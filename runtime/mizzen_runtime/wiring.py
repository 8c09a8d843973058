"""Builds everything behind the ports from the configuration. Importing it is what takes a runtime's start its time."""

import os
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry

from mizzen_api.contract import RuntimeConfig, StateReport
from mizzen_runtime import log
from mizzen_runtime.agent.build import BuiltAgent, build_agent
from mizzen_runtime.agent.entrypoint import Host
from mizzen_runtime.agent_service import AgentService, InFlight
from mizzen_runtime.config import DEFAULT_CONFIG, read_config
from mizzen_runtime.http.asgi import App
from mizzen_runtime.http.management import Reports
from mizzen_runtime.http.traffic import TrafficSettings, agent_card, traffic_app
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.metrics import CONTENT_TYPE, AgentMetrics
from mizzen_runtime.mounted_secrets import read_secrets
from mizzen_runtime.options import Options
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor


@dataclass(frozen=True)
class Runtime:
    """What serves, once everything is built."""

    built: BuiltAgent
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
    secrets = read_secrets(config)
    with StartWatch(host.seconds, host.give_up) as watch:
        loader = OwnCodeLoader(watch, Redactor([*secrets.values, *_secret_variables(config)]))
        built = build_agent(config, secrets, host, loader)
    in_flight = InFlight()
    metrics = AgentMetrics(
        CollectorRegistry(),
        namespace=config.namespace,
        agent=config.name,
        revision=config.revision,
        in_flight=lambda: in_flight.count,
    )
    service = AgentService(built, metrics, in_flight, timeout=options.request_timeout)
    settings = TrafficSettings(
        revision=config.revision,
        max_body_bytes=options.max_body_bytes,
        request_timeout=options.request_timeout,
        agent_card=agent_card(
            name=config.name,
            description=built.description,
            revision=config.revision,
            output_schema=built.output_schema,
        ),
    )
    reports = Reports(
        metrics=metrics.expose,
        metrics_content_type=CONTENT_TYPE,
        state=lambda: _state(config, built, lifecycle, in_flight),
    )
    return Runtime(built=built, app=traffic_app(service, lifecycle, settings), reports=reports)


def _secret_variables(config: RuntimeConfig) -> list[str]:
    return [os.environ.get(name, "") for name in config.secret_variables or ()]


def _state(config: RuntimeConfig, built: BuiltAgent, lifecycle: Lifecycle, in_flight: InFlight) -> bytes:
    report = StateReport(
        runtime_version=version("mizzen"),
        namespace=config.namespace,
        name=config.name,
        revision=config.revision,
        phase=lifecycle.phase,
        in_flight=in_flight.count,
        models=built.models,
    )
    return report.model_dump_json().encode()
