"""How the operator reaches the API server: address, trust, identity."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration

USER_AGENT = "mizzen-operator"
"""What the API server's audit log calls the operator."""
MAX_CONNECTIONS = 20
"""For reads and writes of the reconciler; watches have a session of their own."""


class NoClusterError(Exception):
    """There is no usable description of a cluster; the message says where one was looked for."""


@dataclass(frozen=True)
class Connection:
    """A configured way to one API server."""

    configuration: Configuration

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.configuration.host)

    def api_client(self) -> ApiClient:
        """Give a client whose pool is bounded by `MAX_CONNECTIONS`. The caller closes it."""
        return ApiClient(self.configuration)

    def watch_session(self, limit: int, on_request: Callable[[str], None]) -> "WatchSession":
        """Open a bounded session for long-lived watches. The caller drops it.

        Args:
            limit: Connections at most.
            on_request: Told the path of each request that starts.
        """

        async def started(_: aiohttp.ClientSession, __: object, parameters: aiohttp.TraceRequestStartParams) -> None:
            on_request(parameters.url.path)

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(started)
        connector = aiohttp.TCPConnector(limit=limit, ssl=self.api_client().rest_client.ssl_context)
        session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": USER_AGENT},
            middlewares=(self._authenticate,),
            trace_configs=[trace],
            trust_env=True,
        )
        return WatchSession(session, connector)

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Add the bearer token that is valid now: a service account's token is replaced about every hour."""
        token = await self.configuration.get_api_key_with_prefix("BearerToken")
        if token:
            request.headers["Authorization"] = token
        try:
            return await handler(request)
        except AssertionError as error:  # aiohttp's way to tell that a session was closed after a request had begun
            if not request.session.closed:
                raise
            raise aiohttp.ClientConnectionError("the session was closed: the API server refused its token") from error


@dataclass(frozen=True)
class WatchSession:
    """An HTTP session for watches."""

    session: aiohttp.ClientSession
    connector: aiohttp.TCPConnector

    def is_closed(self) -> bool:
        """Tell whether somebody has closed the session."""
        return self.session.closed

    async def drop(self) -> None:
        """Close all connections at once: nobody waits for the API server's good-bye."""
        await self.connector.close(abort_ssl=True)
        await self.session.close()


async def connect(kubeconfig: Path | None) -> Connection:
    """Find the cluster: the given file, else the pod's own service account, else `KUBECONFIG`.

    Raises:
        NoClusterError: None of them describes a cluster.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            await asyncio.to_thread(kubernetes_config.load_incluster_config, configuration)
        else:
            path = str(kubeconfig) if kubeconfig else None
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, client_configuration=configuration
            )
    except (kubernetes_config.ConfigException, OSError) as error:
        raise NoClusterError(
            f"no cluster to connect to: {error}; run in a pod with a service account, or give --kubeconfig FILE"
        ) from error
    configuration.connection_pool_maxsize = MAX_CONNECTIONS
    return Connection(configuration)
