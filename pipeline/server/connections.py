"""uvicorn's HTTP/1.1 connections, with limits that it leaves to a proxy: on the size of heads, on slow clients, and on
how many connections a client has.
"""

import asyncio
import socket
import sys
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from pipeline.server.log import log_request
from pipeline.server.places import Acceptor, Limits, Places

# Time for a head, that is the request line and headers: some hundred bytes.
HEAD_SECONDS = 10.0
# A client that accepts less than a chunk (256 kB) in that time is disconnected. 4 kB/s is slower than a modem.
STALL_SECONDS = 60.0
# How long a refused client may go on sending; nothing of that is read.
LINGER_SECONDS = 1.0
# Of an incomplete head; complete ones are checked by pipeline.server.middleware.
LARGEST_HEAD = 32_768  # bytes

_SENTENCES = {
    400: "This is not an HTTP request.",
    408: "The request took too long to arrive.",
    414: "The address is too long.",
    429: "There are too many connections from your address.",
    431: "The headers are too large.",
}


class Connection(H11Protocol):
    """A connection that closes itself when its client is too slow, or sends what is not a request."""

    # As attributes, so that tests can shorten them.
    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS

    def __init__(self, places: Places, network: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._places, self.network = places, network
        self._idle_since = 0.0
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Any unsent byte counts as stalled, also the last kilobytes of a complete response: asyncio would keep a closed
        # connection open for them as long as the client likes.
        transport.set_write_buffer_limits(high=0)
        self._idle_since = self.loop.time()
        if self._places.take(self, self._idle_since):
            self._head = self.loop.call_later(self.head_seconds, self._end_late_head)
        else:
            self._refuse(429)

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        self._places.depart(self.network)
        self._stop_waiting_for_head()
        self.resume_writing()
        super().connection_lost(exc)

    @property
    def waits_since(self) -> float | None:
        """When it began to wait for a request, in the event loop's time; None while it answers one."""
        return self._idle_since if self.cycle is None or self.cycle.response_complete else None

    def yield_place(self) -> None:
        """Closes at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_waiting_for_head()
        elif self._head is None:  # the next request of a connection that is kept alive
            self._head = self.loop.call_later(self.head_seconds, self._end_late_head)

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if (
            self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        ):  # a part of the next head came with this request
            self._head = self._head or self.loop.call_later(self.head_seconds, self._end_late_head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _stop_waiting_for_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _end_late_head(self) -> None:
        """Ends a connection whose head is late; silently where nothing arrived, since browsers open some in advance."""
        self._head = None
        if self.conn.trailing_data[0]:
            self._refuse(408)
        else:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuses what h11 cannot parse; called by uvicorn. h11 knows the status."""
        error = sys.exception()
        if not isinstance(error, h11.ProtocolError) or error.error_status_hint != 431:
            self._refuse(400)
        else:
            self._refuse(431 if b"\n" in self.conn.trailing_data[0] else 414)

    def _refuse(self, status: int) -> None:
        """Answers a malformed request, and closes; a malformed body is refused by the application, like any body."""
        self._stop_waiting_for_head()
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            # After an error h11 accepts no further events, and uvicorn closes. This ends the wait for more of the body.
            self.cycle.more_body = False
            self.cycle.message_event.set()
            return
        if self.conn.our_state is h11.IDLE:
            self._send_refusal(status)
        # Closing with unread bytes would send a reset, which can overtake the response: the client closes first.
        with suppress(OSError):  # it has closed already
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _send_refusal(self, status: int) -> None:
        body = (_SENTENCES[status] + "\n").encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if status != 429:  # of which there may be thousands; pipeline.server.places writes a line
            log_request(self.client[0] if self.client else "-", "-", status, len(body))


class Server(uvicorn.Server):
    """uvicorn's server, which accepts connections by pipeline.server.places."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self.places = Places(limits)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.servers = [Acceptor(listener, self._connection, self.places) for listener in sockets or []]  # type: ignore[misc]

    def _connection(self, network: str) -> Connection:
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        return Connection(self.places, network, config=self.config, **state)
