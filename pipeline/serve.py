"""serve: a hub's folder over HTTP, as tfhub.dev served its own.

    python -m pipeline.serve HUB [--host HOST] [--port PORT] [--gcs gs://BUCKET/PREFIX] [--proxies ADDRESSES]
        [--drain SECONDS]

Serves until Ctrl-C or SIGTERM; then it accepts no new connections, and gives downloads some seconds to finish. It never
writes to the hub. It needs the extra `serve`, as pipeline.server does.
"""

import argparse
import errno
import logging
import re
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import uvicorn

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, escape
from pipeline.base.program import program
from pipeline.base.text import read_generated
from pipeline.hub.folder import Published, hub_folder, look_up_published
from pipeline.server.app import application
from pipeline.server.connections import LARGEST_HEAD, Connection, Server
from pipeline.server.log import ACCESS, AccessHandler, log
from pipeline.server.places import Limits, network_of

# Each may hold two chunks of pipeline.server.responses: 1 GB at most.
MOST_CONNECTIONS = 2_000
KEPT_ALIVE = 15  # seconds that a connection may wait for its next request
_BUCKET = re.compile(r"gs://[^/\s]\S*")


def listening(host: str, port: int) -> socket.socket:
    """Returns a listening socket; port 0 means any free port.

    Raises:
        Fault: when it cannot listen there, and why.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except socket.gaierror as error:
        raise Fault(
            f"HOST={host}: not an address of this machine ({error.strerror}); expected one such as 127.0.0.1"
        ) from None
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there; choose another PORT",
            errno.EACCES: "your user may not listen there; choose a PORT from 1024",
            errno.EADDRNOTAVAIL: "not an address of this machine; choose another HOST",
        }
        if error.errno not in reasons:
            raise
        raise Fault(f"cannot listen on {host}, port {port}: {reasons[error.errno]}") from None
    # Connections inherit this; asyncio sets it only on sockets of its own. Without it the body of a page waits 40 ms
    # for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def allow_files() -> int:
    """Raises this process's limit of open files as far as needed; returns the number of clients it suffices for.

    Raises:
        Fault: when it suffices for none.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + 300
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    clients = (most - 300) // 2  # a connection and a file each; SURPLUS get a 503, and folders need some, too
    if clients < 1:
        raise Fault(
            f"this process may open {hard} files at once; expected 400 or more: raise the hard limit (ulimit -Hn)"
        )
    return clients


def _stop(number: int, frame: FrameType | None) -> None:
    """Exits with success: uvicorn raises the signal again after an orderly shutdown."""
    raise SystemExit(0)


def limit_connections(places: int, proxies: Sequence[str] = ()) -> Limits:
    """Returns the limits of a server with so many places: an address has a third, and at least what two browsers open.

    Behind one address there may be a class of a hundred people, whose browsers open six connections each.

    Args:
        places: connections that are served at once.
        proxies: the addresses of reverse proxies.
    """
    return Limits(places, min(places, max(places // 3, 12)), frozenset(map(network_of, proxies)))


def server(hub: Path, bucket: str | None, drain: int, limits: Limits) -> Server:
    """Returns a server that is ready to run.

    Args:
        hub: the hub's folder.
        bucket: see application().
        drain: seconds that downloads get to finish when the server ends.
        limits: how many connections there may be.
    """
    config = uvicorn.Config(
        application(hub, bucket), http=Connection, ws="none", lifespan="off", loop="asyncio", log_config=None,
        access_log=False, proxy_headers=False, server_header=False, limit_concurrency=limits.places + 1,
        timeout_keep_alive=KEPT_ALIVE, timeout_graceful_shutdown=drain, h11_max_incomplete_event_size=LARGEST_HEAD,
    )  # fmt: skip
    return Server(config, limits)


def published_address(hub: Path, handle: str) -> str | None:
    """Returns the address of the hub in a module's card, or None without one."""
    card = hub / f"{handle}.md"
    try:
        text = read_generated(card, "") if card.is_file() else ""
    except Fault:  # the server does not need it
        return None
    match = re.search(rf"^<!-- asset-path: (.*)/{re.escape(handle)}\.tar\.gz -->$", text, re.MULTILINE)
    return escape(match[1]) if match else None


def _log() -> None:
    """Logs requests to standard output and faults to standard error."""
    ACCESS.addHandler(AccessHandler(sys.stdout))
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False
    logging.getLogger("uvicorn.error").addFilter(_is_for_the_operator)


def _is_for_the_operator(record: logging.LogRecord) -> bool:
    """Whether to write a message of uvicorn: errors of this program, and not what a client or the disk causes."""
    message = record.getMessage()
    if "concurrency" in message:
        log("503", "there are too many connections: requests are answered with 503")
    # Of a file that became shorter or cannot be read, of which there is a line already.
    return record.levelno >= logging.ERROR and message != "ASGI callable returned without completing response."


def _announce(hub: Path, has: Published, address: str) -> None:
    """Prints the address of the server, and how to load a module from it."""
    handle = escape(has.first)
    count = f"{has.modules:,} module{'s' if has.modules > 1 else ''}"
    print(f"serving {count} of {hub} at {address}/ until Ctrl-C; from Python:", file=sys.stderr)
    print(f'  hub.load("{address}/{handle}")', file=sys.stderr, flush=True)
    published = published_address(hub, has.first)
    if published and published.replace("//localhost", "//127.0.0.1") != address:
        print(f"  its pages name {published}; make publish HUB_URL=... changes that", file=sys.stderr, flush=True)


def serve(hub: Path, host: str, port: int, running: Server) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        Fault: as look_up_published() and listening() do.
    """
    has = look_up_published(hub)
    with listening(host, port) as listener:
        _log()
        port = listener.getsockname()[1]
        _announce(hub, has, f"http://{f'[{host}]' if ':' in host else host}:{port}")
        signal.signal(signal.SIGTERM, _stop)
        with suppress(KeyboardInterrupt):  # raised again by uvicorn, after its orderly end
            running.run(sockets=[listener])


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise Fault(f"PORT={text}: expected a whole number from 0 (any free port) to 65535")
    return int(text)


def _proxies(text: str) -> list[str]:
    addresses = [address.strip() for address in text.split(",") if address.strip()]
    for address in addresses:
        try:
            ip_address(address)
        except ValueError:
            raise Fault(
                f"PROXIES={escape(text)}: {address!r} is no IP address; expected some, such as 127.0.0.1,::1"
            ) from None
    return addresses


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=program("serve"), description="Serves a hub as tfhub.dev did.")
    parser.add_argument("hub", help="the hub: a folder, or its file: URL")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (127.0.0.1; 0.0.0.0 is every network)"
    )
    parser.add_argument("--port", default="8080", help="port to listen on (8080; 0 is any free one)")
    parser.add_argument("--gcs", help="gs://bucket/prefix that also has the modules unpacked")
    parser.add_argument(
        "--proxies", default="", help="addresses of reverse proxies, with commas; they may take all places"
    )
    parser.add_argument("--drain", type=int, default=30, help="seconds for downloads to finish at the end (30)")
    args = parser.parse_args(arguments)
    if args.gcs and not _BUCKET.fullmatch(args.gcs):
        raise Fault(f"GCS={args.gcs}: expected gs://bucket/prefix")
    hub, port, limits = hub_folder(args.hub), _port(args.port), limit_connections(allow_files(), _proxies(args.proxies))
    serve(hub, args.host, port, server(hub, args.gcs, args.drain, limits))


if __name__ == "__main__":
    raise SystemExit(guarded("serve", lambda: main(command_line())))
