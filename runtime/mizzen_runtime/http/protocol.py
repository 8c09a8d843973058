"""One connection: uvicorn's protocol, where it loses a body, an answer, or a client."""

import select
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mizzen_runtime.http.asgi import tell_when_client_leaves
from mizzen_runtime.http.problem import CONTENT_TYPE, plain_problem


class Protocol(HttpToolsProtocol):
    """Answers one request at a time, and offers of another protocol over the one it has.

    What arrives behind a request that is not answered yet, another request or rubbish, is dropped; the connection is
    closed behind the answer, which tells a client that pipelines to send the rest again.
    """

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._stop_reading()

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # The parser ends a request that offers an upgrade at its head, and takes its body for the other protocol.
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(head + data[offer.args[0] :])

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _stop_reading(self) -> None:
        cycle = self.cycle
        unanswered = self._unanswered()
        if unanswered and (cycle.response_started or not cycle.more_body):
            cycle.keep_alive = False
            return
        if unanswered:  # its body is broken: it will never be whole
            cycle.disconnected = True
            cycle.message_event.set()
        self.send_400_response("")

    def _unanswered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with problem details; uvicorn's own answer is a plain text."""
        del msg
        body = plain_problem(400, "this is no valid HTTP request").to_json()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (
            CONTENT_TYPE,
            len(body),
        )
        self.transport.write(head + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request.

        Raises:
            httptools.HttpParserError: The one before is not answered yet; the parser stops for good.
        """
        if self._unanswered():
            raise httptools.HttpParserError("one request at a time")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is to be parsed again without its offer.

        Raises:
            httptools.HttpParserError: It asks for a tunnel.
        """
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the body is whole."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the client as long to read an answer that it is closed behind as it has to ask again."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, one that was reset too: uvicorn would keep that until its client should have asked."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        """Begin to close: behind the answer if there is a request, even one that has not been read yet."""
        if self._unanswered() or not self._has_unread():
            super().shutdown()

    def _has_unread(self) -> bool:
        """Tell whether the client has sent something, or has left, and the loop has not got to it yet."""
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(unread.poll(0))

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that nobody uses: to close would wait for a client that does not read its answer."""
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            tell_when_client_leaves(cast("dict[str, Any]", scope), lambda: cycle.disconnected)
            await app(scope, receive, send)
            if cycle.response_started and not cycle.response_complete:
                # The application gave up on a client that does not read: to close would wait until it does.
                cycle.disconnected = True
                self.transport.abort()

        super()._start_asgi_task(cycle, answer)
