"""What a run is given as pydantic-ai's `deps`: the services of a request scope, in the form that the agent wants."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from mizzen_runtime.container import AgentServices
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.running_services import RunningServices

RETRY_SECONDS = 1.0
"""After which it is worth asking again when a service is away: it is pinged that often."""


class Dependencies:
    """Opens a request scope for each run."""

    def __init__(self, services: RunningServices | None, deps_type: Callable[..., Any] | None) -> None:
        """Say what there is and what is wanted.

        Args:
            services: The agent's services, if it has any.
            deps_type: `AgentServices`, or a class whose fields or parameters are services; None for an agent that asks
                for nothing.
        """
        self._services = services
        self._deps_type = deps_type

    def for_run(self) -> AbstractAsyncContextManager[Any] | None:
        """Give what one run gets, to be left when the run is over, however it ends; None for an agent without services.

        Raises:
            RunError: A service is away without which the agent cannot answer.
        """
        if self._services is None:
            return None
        if (name := self._services.missing) is not None:
            raise RunError(
                Outcome.SERVICE_UNAVAILABLE, f"the agent's service {name!r} is not available", retry_after=RETRY_SECONDS
            )
        return None if self._deps_type is None else self._opened(self._services, self._deps_type)

    @asynccontextmanager
    async def _opened(self, services: RunningServices, deps_type: Callable[..., Any]) -> AsyncIterator[Any]:
        async with services.request_scope() as scope:
            if deps_type is AgentServices:
                yield await AgentServices.of(scope)
            else:
                yield deps_type(**await scope.resolve_annotations(deps_type))
