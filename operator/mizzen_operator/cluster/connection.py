"""How the operator reaches the API server: address, trust, identity."""

import asyncio
import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration

USER_AGENT = "mizzen-operator"
"""What the API server's audit log calls the operator; the identity of the process follows in parentheses."""
MAX_CONNECTIONS = 20
"""For reads and writes of the reconciler; watches have a session of their own."""


class NoClusterError(Exception):
    """There is no usable description of a cluster; the message says where one was looked for."""


@dataclass(frozen=True)
class Connection:
    """A configured way to one API server."""

    configuration: Configuration
    identity: str
    """Of this process, as the API server's audit log shows it."""

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.configuration.host)

    @property
    def user_agent(self) -> str:
        """What requests say of their sender."""
        return f"{USER_AGENT} ({self.identity})"

    def api_client(self, before_send: Callable[[], None] | None = None) -> ApiClient:
        """Give a client whose pool is bounded by `MAX_CONNECTIONS`. The caller closes it.

        Args:
            before_send: Called right before each request is sent, when it has its connection, also when a request is
                sent again on another one. What it raises is raised to whoever makes the request, which is not sent.
        """
        configuration = self.configuration
        if before_send is not None:
            configuration = copy.copy(configuration)
            configuration.client_session_kwargs = {"request_class": _checked_request(before_send)}
        client = ApiClient(configuration)
        client.user_agent = self.user_agent
        return client

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
            headers={"User-Agent": self.user_agent},
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


def _checked_request(check: Callable[[], None]) -> type[aiohttp.ClientRequest]:
    """Give a kind of request that is checked last thing before it is sent."""

    class CheckedRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            check()
            return await super().send(conn)

    return CheckedRequest


async def connect(kubeconfig: Path | None, identity: str) -> Connection:
    """Find the cluster: the given file, else the pod's own service account, else `KUBECONFIG`.

    Args:
        kubeconfig: The file, if one was given.
        identity: Of this process, for the API server's audit log.

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
    return Connection(configuration, identity)
