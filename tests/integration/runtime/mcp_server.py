"""A real server of the Model Context Protocol with one tool, which notes the tokens that it is shown."""

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from mcp.server import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send


class McpServer:
    """Serves on a free port of the loopback while it is entered."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        """The `Authorization` headers that came."""
        tools = MCPServer("tools")

        @tools.tool()
        def shout(text: str) -> str:
            """Give a text in capitals."""
            return text.upper()

        self._socket = socket.create_server(("127.0.0.1", 0))
        app = self._noting(tools.streamable_http_app(json_response=True, stateless_http=True))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/mcp"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _noting(self, app: ASGIApp) -> ASGIApp:
        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.tokens.update(value.decode() for name, value in scope["headers"] if name == b"authorization")
            await app(scope, receive, send)

        return noting
