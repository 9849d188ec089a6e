"""Real proxies on loopback: one of HTTP and one of SOCKS 5, each with a password if asked for."""

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        host: its host and port.
        targets: the hosts and ports that clients asked for.
    """

    host: str
    targets: list[str] = field(default_factory=list)


def _join(client: socket.socket, host: str, port: int) -> None:
    """Passes bytes on between a client and a server, in both directions, until one of them ends."""
    with socket.create_connection((host, port)) as server:

        def pass_on(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):  # either may close its connection at any time
                while data := source.recv(1 << 16):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=pass_on, args=(client, server))
        thread.start()
        pass_on(server, client)
        thread.join()


class _Handler(socketserver.StreamRequestHandler):
    """Knows its proxy, and the user and password that it expects, "" for none."""

    proxy: Proxy
    password: str

    def to(self, host: str, port: int) -> None:
        self.proxy.targets.append(f"{host}:{port}")
        _join(self.connection, host, port)


class _Http(_Handler):
    """Answers CONNECT alone, which clients use for https."""

    def handle(self) -> None:
        _, target, _ = self.rfile.readline().decode().split()
        headers = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
        if self.password:
            expected = f"Proxy-Authorization: Basic {base64.b64encode(self.password.encode()).decode()}"
            if expected not in headers:
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        host, _, port = target.rpartition(":")
        self.to(host, int(port))


class _Socks(_Handler):
    """RFC 1928, with the user names and passwords of RFC 1929."""

    def handle(self) -> None:
        _, count = self.rfile.read(2)
        methods = self.rfile.read(count)
        wanted = 2 if self.password else 0
        if wanted not in methods:
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(bytes([5, wanted]))
        if wanted:
            self.rfile.read(1)
            words = [self.rfile.read(self.rfile.read(1)[0]).decode() for _ in range(2)]
            self.wfile.write(bytes([1, ":".join(words) != self.password]))
        _, _, _, kind = self.rfile.read(4)
        host = socket.inet_ntoa(self.rfile.read(4)) if kind == 1 else self.rfile.read(self.rfile.read(1)[0]).decode()
        port = int.from_bytes(self.rfile.read(2), "big")
        self.wfile.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        self.to(host, port)


@contextmanager
def _running(handler: type[_Handler], password: str) -> Iterator[Proxy]:
    proxy = Proxy("")
    attributes: dict[str, Any] = {"proxy": proxy, "password": password}
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("_One", (handler,), attributes)) as server:
        proxy.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def http_proxy(password: str = "") -> Any:
    """Runs a proxy of HTTP; `password` is <user>:<password>. A context manager of a Proxy."""
    return _running(_Http, password)


def socks_proxy(password: str = "") -> Any:
    """Runs a proxy of SOCKS 5; `password` is <user>:<password>. A context manager of a Proxy."""
    return _running(_Socks, password)
