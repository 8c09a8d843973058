"""The dependency-injection container: which services an agent gets, when they are built and when they are closed."""

from mizzen_runtime.container.agent_services import AgentServices
from mizzen_runtime.container.container import DependencyContainer
from mizzen_runtime.container.errors import (
    AmbiguousServiceError,
    ContainerClosedError,
    ContainerError,
    InvalidContainerError,
    ScopeError,
    ServiceLookupError,
    ServiceStartError,
    StartFailedError,
    UnknownServiceError,
)
from mizzen_runtime.container.registration import Named, Registrations, Scope
from mizzen_runtime.container.request_scope import RequestScope

__all__ = [
    "AgentServices",
    "AmbiguousServiceError",
    "ContainerClosedError",
    "ContainerError",
    "DependencyContainer",
    "InvalidContainerError",
    "Named",
    "Registrations",
    "RequestScope",
    "Scope",
    "ScopeError",
    "ServiceLookupError",
    "ServiceStartError",
    "StartFailedError",
    "UnknownServiceError",
]
