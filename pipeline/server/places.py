"""Who may be connected: places for connections, some of them for each address, and accepting that never floods the log.

Half-open connections cost a client nothing. So one address may take only a part of the places, and whoever comes when
they are taken gets the place of a connection that waits for its client. asyncio's own accept takes 2,000 connections
at once, and writes a traceback for each that it has no descriptor for.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Protocol

from pipeline.server.log import log

# A connection that waited so long for a request may lose its place: a client sends one within a round trip.
YIELDS_AFTER = 1.0  # seconds
# Connections beyond the places, and beyond those of one address, which are told that there is none.
SURPLUS, SURPLUS_PER_ADDRESS = 100, 10
_BATCH = 64  # connections accepted before others are served
_PAUSE = 1.0  # seconds without accepting after an error, so that it is not tried again and again


@dataclass(frozen=True)
class Limits:
    """How many connections there may be.

    Attributes:
        places: for requests at once.
        per_address: of these, those of one address.
        proxies: networks, as network_of() names them, that may take all places, for their clients.
    """

    places: int
    per_address: int
    proxies: frozenset[str] = frozenset()


class Holder(Protocol):
    """A connection.

    Attributes:
        network: of its client.
        waits_since: when it began to wait for a request, in the event loop's time; None while it answers one.
    """

    network: str

    @property
    def waits_since(self) -> float | None: ...

    def yield_place(self) -> None:
        """Closes at once."""


def network_of(host: str) -> str:
    """Returns what counts as one address: an IPv4 address, or an IPv6 network of /64, which every household has."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or IPv6Network((address, 64), strict=False))
    return str(address)


class Places:
    """The connections of a server, in the order in which they came."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._holders: dict[Holder, None] = {}
        self._by_network: dict[str, dict[Holder, None]] = {}
        self._accepted: Counter[str] = Counter()
        self._search_after: dict[str, float] = {}  # by network; "" for all

    def admit(self, network: str) -> bool:
        """Returns whether a connection that was just accepted may begin: beyond some that are told why, no others are.

        Descriptors are left for files so, and a flood from one address does not keep others out.
        """
        limit = self.limits.per_address + SURPLUS_PER_ADDRESS
        if network not in self.limits.proxies and self._accepted[network] >= limit:
            log("per address", f"{network} has {limit} connections: further ones are closed at once")
            return False
        if self._accepted.total() >= self.limits.places + SURPLUS:
            log("refused", f"there are {self._accepted.total()} connections: further ones are closed at once")
            return False
        self._accepted[network] += 1
        return True

    def depart(self, network: str) -> None:
        """Counts a connection that was admitted, and is closed now."""
        self._accepted[network] -= 1
        if not self._accepted[network]:
            del self._accepted[network]

    def take(self, holder: Holder, now: float) -> bool:
        """Gives a connection a place, at the cost of one that waits if there is none; returns whether it has one."""
        limit, network = self.limits.per_address, holder.network
        neighbours = self._by_network.get(network, {})
        if len(neighbours) >= limit and network not in self.limits.proxies:
            log("per address", f"{network} has {limit} connections: one that waits is closed for each further one")
            if not self._free_place(neighbours, network, now):
                return False
        elif len(self._holders) >= self.limits.places:
            log("places", f"there are {self.limits.places} connections: one that waits is closed for each further one")
            self._free_place(self._holders, "", now)  # where none waits, the request is answered with 503
        self._holders[holder] = None
        self._by_network.setdefault(network, {})[holder] = None
        return True

    def leave(self, holder: Holder) -> None:
        """Takes back the place of a connection, if it has one."""
        if holder in self._holders:
            del self._holders[holder]
            neighbours = self._by_network[holder.network]
            del neighbours[holder]
            if not neighbours:
                del self._by_network[holder.network]
                self._search_after.pop(holder.network, None)

    def _free_place(self, holders: Iterable[Holder], network: str, now: float) -> bool:
        """Closes the first connection, of a network or of all, that has waited long enough; returns if there is one."""
        if now < self._search_after.get(network, 0.0):
            return False
        for holder in holders:
            since = holder.waits_since
            if since is not None and now - since > YIELDS_AFTER:
                self.leave(holder)
                holder.yield_place()
                return True
        self._search_after[network] = now + YIELDS_AFTER / 10  # else a flood would search without end
        return False


class Acceptor:
    """Accepts the connections of a listening socket; uvicorn closes it as it does asyncio's servers."""

    def __init__(self, listener: socket.socket, factory: Callable[[str], asyncio.Protocol], places: Places) -> None:
        """Begins.

        Args:
            listener: listens already.
            factory: returns the protocol of a new connection by its network, which departs when it ends.
            places: admits connections.
        """
        self._listener, self._factory, self._places = listener, factory, places
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                client, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # of a system out of descriptors or memory, or of the network: see accept(2)
                log("accept", f"no connection can be accepted for {_PAUSE:.0f} s: {error.strerror}")
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE, self._loop.add_reader, self._listener, self._accept)
                return
            network = network_of(address[0])
            if not self._places.admit(network):
                client.close()
                continue
            task = self._loop.create_task(self._begin(client, network))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, client: socket.socket, network: str) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: self._factory(network), client)
        except OSError:  # the client has gone already
            client.close()
            self._places.depart(network)

    def close(self) -> None:
        """Accepts no further connections."""
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Returns at once: connections are counted by uvicorn."""
