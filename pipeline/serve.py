"""serve: a hub's folder over HTTP, as tfhub.dev served its own.

    python -m pipeline.serve HUB [--host HOST] [--port PORT] [--gcs gs://BUCKET/PREFIX] [--drain SECONDS]

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
from pathlib import Path
from types import FrameType

import uvicorn

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, escape
from pipeline.base.text import read_generated
from pipeline.hub.folder import hub_folder, published_handles
from pipeline.server.app import application
from pipeline.server.connections import LARGEST_HEAD, Connection
from pipeline.server.middleware import ACCESS

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


def _allow_files() -> int:
    """Raises this process's limit of open files as far as needed; returns the number of clients it suffices for.

    Raises:
        Fault: when it suffices for none.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + 300
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    clients = (most - 300) // 2  # a connection and a file each; 100 wait for a 503, and folders need some, too
    if clients < 1:
        raise Fault(
            f"this process may open {hard} files at once; expected 400 or more: raise the hard limit (ulimit -Hn)"
        )
    return clients


def _stop(number: int, frame: FrameType | None) -> None:
    """Exits with success: uvicorn raises the signal again after an orderly shutdown."""
    raise SystemExit(0)


def server(hub: Path, bucket: str | None, drain: int) -> uvicorn.Server:
    """Returns a server that is ready to run.

    Args:
        hub: the hub's folder.
        bucket: see application().
        drain: seconds that downloads get to finish when the server ends.

    Raises:
        Fault: when this process may open too few files.
    """
    return uvicorn.Server(
        uvicorn.Config(
            application(hub, bucket), http=Connection, ws="none", lifespan="off", loop="asyncio", log_config=None,
            access_log=False, proxy_headers=False, server_header=False, limit_concurrency=_allow_files(),
            timeout_keep_alive=KEPT_ALIVE, timeout_graceful_shutdown=drain, h11_max_incomplete_event_size=LARGEST_HEAD,
        )
    )  # fmt: skip


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
    ACCESS.addHandler(logging.StreamHandler(sys.stdout))
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False
    # The operator needs to know of errors and of too many clients, not of bad requests.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: record.levelno >= logging.ERROR or "concurrency" in record.getMessage()
    )


def _announce(hub: Path, handles: Sequence[str], address: str) -> None:
    """Prints the address of the server, and how to load a module from it."""
    names = {handle.rpartition("/")[0] for handle in handles}
    count = f"{len(names):,} module{'s' if len(names) > 1 else ''}"
    print(f"serving {count} of {hub} at {address}/ until Ctrl-C; from Python:", file=sys.stderr)
    print(f'  hub.load("{address}/{handles[0]}")', file=sys.stderr, flush=True)
    published = published_address(hub, handles[0])
    if published and published.replace("//localhost", "//127.0.0.1") != address:
        print(f"  its pages name {published}; make publish HUB_URL=... changes that", file=sys.stderr, flush=True)


def serve(hub: Path, host: str, port: int, bucket: str | None, drain: int) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        Fault: as published_handles(), listening() and server() do.
    """
    handles = published_handles(hub)
    with listening(host, port) as listener:
        _log()
        running = server(hub, bucket, drain)
        port = listener.getsockname()[1]
        _announce(hub, handles, f"http://{f'[{host}]' if ':' in host else host}:{port}")
        signal.signal(signal.SIGTERM, _stop)
        with suppress(KeyboardInterrupt):  # raised again by uvicorn, after its orderly end
            running.run(sockets=[listener])


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise Fault(f"PORT={text}: expected a whole number from 0 (any free port) to 65535")
    return int(text)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.serve", description="Serves a hub as tfhub.dev did.")
    parser.add_argument("hub", help="the hub: a folder, or its file: URL")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (127.0.0.1; 0.0.0.0 is every network)"
    )
    parser.add_argument("--port", default="8080", help="port to listen on (8080; 0 is any free one)")
    parser.add_argument("--gcs", help="gs://bucket/prefix that also has the modules unpacked")
    parser.add_argument("--drain", type=int, default=30, help="seconds for downloads to finish at the end (30)")
    args = parser.parse_args(arguments)
    if args.gcs and not _BUCKET.fullmatch(args.gcs):
        raise Fault(f"GCS={args.gcs}: expected gs://bucket/prefix")
    serve(hub_folder(args.hub), args.host, _port(args.port), args.gcs, args.drain)


if __name__ == "__main__":
    raise SystemExit(guarded("serve", lambda: main(command_line())))
