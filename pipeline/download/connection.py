"""HTTP/1.1 answers whose head, chunk sizes and trailers come within limits of time and size.

http.client waits for each byte anew, and reads as many interim answers, chunk extensions and trailers as come: a server
that drips holds such a client for ever. It also takes a head that is cut for a whole one, and "0x10", "1_0" or "-1" for
lengths. The payload's speed is checked where it is received (pipeline.download.transfer).
"""

import http.client
import io
import re
import socket
import time
from typing import Any

from pipeline.base.fault import show_name

HEAD_SECONDS = 30.0
# Of a head, interim ones included, and of trailers. Hugging Face sends 5 kB, with a Content-Security-Policy.
LARGEST_HEAD = 1 << 18  # bytes
_LONGEST_CHUNK_LINE = 4096  # bytes, extensions included; servers send some ten
_BLANKS = " \t"  # around a value; str.strip() drops others, too
_LENGTH = re.compile("[0-9]{1,18}")  # an exabyte; int() also reads signs, spaces, underscores and other scripts' digits
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class BadAnswer(http.client.HTTPException):
    """The server sends what is not HTTP/1.1, or drips it."""


class _Wire(io.RawIOBase):
    """The bytes of a socket; while lines are read, only so many, and in time.

    Attributes:
        has_ended: whether the server has closed the connection.
    """

    def __init__(self, stream: io.RawIOBase, seconds: float) -> None:
        self._stream, self._seconds = stream, seconds
        self.has_ended = False
        self._in_lines, self._count = True, 0
        self._since: float | None = None

    def start_lines(self) -> None:
        """From here on lines are read: their time counts from their first byte."""
        self._in_lines, self._since, self._count = True, None, 0

    def end_lines(self) -> None:
        """From here on the payload is read."""
        self._in_lines = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._stream.readinto(buffer)
        self.has_ended = count == 0
        if self._in_lines:
            self._check(count or 0)
        return count

    def _check(self, count: int) -> None:
        now = time.monotonic()
        since = self._since = now if self._since is None else self._since
        self._count += count
        if now - since > self._seconds:
            raise BadAnswer(f"{self._count} bytes in {now - since:.0f} s, and its head is not complete")
        if self._count > LARGEST_HEAD:
            raise BadAnswer(f"its head is larger than {LARGEST_HEAD >> 10} kB")

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Socket:
    """What http.client.HTTPResponse needs of a socket."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._wire)


class Answer(http.client.HTTPResponse):
    """An answer that is refused if its framing is malformed, and given up if it drips."""

    head_seconds = HEAD_SECONDS

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        self._wire = _Wire(sock.makefile("rb", buffering=0), self.head_seconds)
        super().__init__(_Socket(self._wire), *arguments, **options)  # type: ignore[arg-type]
        self._left = 0  # bytes of the chunk that has begun

    def begin(self) -> None:
        """Reads the head of the final answer; interim ones (100 to 199 but 101) are skipped, as RFC 9110 has it."""
        self._wire.start_lines()
        try:
            super().begin()
            while 100 <= self.status < 200 and self.status != 101:
                self.headers = None  # type: ignore[assignment]  # else begin() does nothing
                super().begin()
        except http.client.BadStatusLine as error:
            if "HTTP/".startswith(str(error)[:5]):  # other protocols are not worth another try
                self._refuse_cut_head()
            raise
        self._refuse_cut_head()
        self._wire.end_lines()
        self._check_framing()

    def _refuse_cut_head(self) -> None:
        # A buffered reader asks for no more once a line is complete: the end comes only before the head's own.
        if self._wire.has_ended:
            raise http.client.RemoteDisconnected("the server closed the connection within the head of its answer")

    def _check_framing(self) -> None:
        encodings = self.headers.get_all("transfer-encoding", [])
        if encodings and [encoding.strip(_BLANKS).lower() for encoding in encodings] != ["chunked"]:
            raise BadAnswer(f"its Transfer-Encoding is '{show_name(', '.join(encodings))}', expected chunked or none")
        lengths = {
            text.strip(_BLANKS) for line in self.headers.get_all("content-length", []) for text in line.split(",")
        }
        if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
            raise BadAnswer(f"its Content-Length is '{show_name(', '.join(sorted(lengths)))}', expected one number")

    def read1(self, n: int = -1) -> bytes:
        """Returns the next bytes of the payload that are there, at most `n`; b"" at its end."""
        if not self.chunked or self.fp is None:
            return super().read1(n)
        if not self._left:
            self._left = self._read_chunk_size()
        if not self._left:
            self._skip_trailers()
            self.close()
            return b""
        data = self.fp.read1(self._left if n < 0 else min(n, self._left))
        if not data:
            raise http.client.IncompleteRead(b"")
        self._left -= len(data)
        if not self._left:
            self._wire.start_lines()
            if self.fp.readline(3) not in (b"\r\n", b"\n"):
                raise BadAnswer("a chunk is longer than its size")
            self._wire.end_lines()
        return data

    def _read_chunk_size(self) -> int:
        self._wire.start_lines()
        line = self.fp.readline(_LONGEST_CHUNK_LINE)
        self._wire.end_lines()
        if not line.endswith(b"\n") and self._wire.has_ended:
            raise http.client.IncompleteRead(b"")
        match = _CHUNK.fullmatch(line)
        if not match:
            raise BadAnswer(f"the size of a chunk is '{show_name(line.decode('latin-1').strip())}'")
        return int(match[1], 16)

    def _skip_trailers(self) -> None:
        self._wire.start_lines()
        while self.fp.readline(LARGEST_HEAD) not in (b"\r\n", b"\n", b""):
            pass


def limit_answers(connection: Any, head_seconds: float) -> Any:
    """Returns a class of urllib3's connections, of any kind, whose answers keep these limits."""
    answer = type("Answer", (Answer,), {"head_seconds": head_seconds})
    return type(connection.__name__, (connection,), {"response_class": answer})
