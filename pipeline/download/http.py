"""download: one file over HTTP into the cache, taken up where a cut line or a killed process left it.

Each answer of the server leads to one of three steps (pipeline.download.resume): keep what is there, resume after it,
or restart. What the line did is tried again with growing pauses: 408, 429, 5xx, a broken connection, a body that is too
short, a checksum that does not agree, a line that only drips. What the server has decided is not: 401, 403, 404.
"""

import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import requests
import urllib3.exceptions

from pipeline.base.fault import Forbidden, Unavailable, Unreachable, shown
from pipeline.base.files import CHUNK, naming
from pipeline.base.progress import Progress
from pipeline.download.address import Address
from pipeline.download.cache import Entry, Record
from pipeline.download.checksums import Hashing
from pipeline.download.resume import Step, conditions, decide, read_answer, retry_after

_PIECE = 1 << 18  # larger ones are no faster, and cost the memory allocator more
_UNKNOWN = 100_000_000  # bytes that a file of no stated length is taken to have
_BROKEN = (urllib3.exceptions.HTTPError, requests.RequestException, OSError)


@dataclass(frozen=True)
class Policy:
    """How patient a download is; times in seconds.

    Attributes:
        tries: in a row without at least a hundredth of the file having come; then the source is given up.
        pause: before the second try; it doubles each time, up to `longest_pause`, and is shortened at random by up to
            half, so that many clients don't come back at once.
        longest_wait: that a server may ask for with Retry-After; for longer the source is given up.
        connect, silence: until a connection stands, and without any byte.
        slowest, stretch: a connection that brings fewer bytes per second over such a stretch of time counts as broken.
    """

    tries: int = 6
    pause: float = 1.0
    longest_pause: float = 30.0
    longest_wait: float = 300.0
    connect: float = 10.0
    silence: float = 60.0
    slowest: float = 1000.0
    stretch: float = 60.0
    sleep: Callable[[float], None] = time.sleep


class _Again(Exception):
    """Worth another try.

    Attributes:
        wait: the seconds after which the server said to come back, or None.
        progress: whether bytes that came all the same speak for going on.
        cost: how many of the tries it takes up.
    """

    def __init__(self, reason: str, wait: float | None = None, progress: bool = True, cost: int = 1) -> None:
        super().__init__(reason)
        self.wait, self.progress, self.cost = wait, progress, cost


def download(address: Address, entry: Entry, label: str, policy: Policy, expected: str | None = None) -> str:
    """Sees to it that `entry.file` is the file at the address, and returns its SHA-256.

    A whole file of the expected digest is kept without asking. Another one stays in place until the new one is whole;
    where no digest is expected it is kept for good if the server says that it is still the same.

    Args:
        address: what to get.
        entry: its place in the cache.
        label: for progress.
        policy: how patient to be.
        expected: the file's SHA-256 where it is known.

    Raises:
        Unreachable: when no connection to the server comes about.
        Forbidden: when the server gives the file to others only.
        Unavailable: when the server does not have the file, or gives not all of it.
    """
    found = entry.sound(expected)
    if found is not None and found == expected:
        return found
    if found is None and entry.whole():  # damaged since
        entry.drop()
    whole = entry.whole() if expected is None else None  # that it is the server's still would not make it the right one
    failures, most, answered = 0, entry.begun()[1], entry.begun()[1] > 0
    with requests.Session() as session:
        while True:
            try:
                return _attempt(session, address, entry, whole, label, policy)
            except requests.ConnectionError as error:
                # A host that was never reached is not worth half a minute when there are other sources.
                if not answered:
                    raise Unreachable(_reason(error)) from error
                again = _Again(_reason(error))
            except _Again as fault:
                again, answered = fault, True
            (record, size), failures = entry.begun(), failures + again.cost
            if again.progress and record and size - most >= max(1, (record.length or _UNKNOWN) // 100):
                most, failures = size, 1
            if failures >= policy.tries:
                raise Unavailable(f"{again}; given up")
            _pause(again, failures, label, policy)


def _pause(again: _Again, failures: int, label: str, policy: Policy) -> None:
    pause = min(policy.longest_pause, policy.pause * 2 ** (failures - 1)) * random.uniform(0.5, 1)
    if again.wait is not None and again.wait > policy.longest_wait:
        raise Unavailable(f"{again}; the server asks to come back in {again.wait:.0f} s") from again
    pause = max(pause, again.wait or 0)
    print(f"{label}: {again}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
    policy.sleep(pause)


def _attempt(
    session: requests.Session, address: Address, entry: Entry, whole: Record | None, label: str, policy: Policy
) -> str:
    """Asks once, and again without a Range where the answer to one is of no use; returns the whole file's SHA-256."""
    begun, size = entry.begun()
    if begun is None or begun.etag is None or begun.url != shown(address.url):
        begun, size = None, 0
    with closing(_get(session, address, conditions(whole, begun, size), policy)) as response:
        _refuse_what_is_final(response)
        if whole and response.status_code == 304:
            return str(whole.sha256)
        answer = read_answer(shown(address.url), response)
        step = decide(begun, size, answer)
        if step is Step.KEEP and begun is not None:
            return _finish(entry, begun, _digests(entry.part, begun.checksums), policy.tries)
        if step is Step.RESTART and answer.status != 200:
            entry.drop_part()
            raise _Again(f"HTTP {answer.status} does not fit what was asked for; starting anew")
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding not in ("", "identity"):
            raise Unavailable(f"sends the file {encoding}-encoded although the plain bytes were asked for")
        if step is Step.RESTART or begun is None:
            begun, size = answer.record, 0
            entry.begin(begun)
        return _finish(entry, begun, _transfer(response, entry, begun, size, label, policy), policy.tries)


def _get(session: requests.Session, address: Address, headers: Mapping[str, str], policy: Policy) -> requests.Response:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # requests takes it out again when a redirect leads to another host, port or scheme.
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    token = address.token()
    try:
        return session.get(
            address.url,
            headers=headers,
            auth=authorize if token else None,  # else what the URL or ~/.netrc says
            stream=True,
            timeout=(policy.connect, policy.silence),
        )
    except requests.TooManyRedirects as error:
        raise Unavailable(f"redirects in a circle ({error})") from error
    except requests.ConnectionError as error:
        if "aborted" in str(error):  # the connection stood, and the server closed it before it answered
            raise _Again(f"no answer: {_reason(error)}") from error
        raise
    except requests.ReadTimeout as error:
        raise _Again(f"no answer within {policy.silence:.0f} s") from error
    except ValueError as error:  # its text may hold the token, or a password of the address
        what = "the address, or the token that goes with it, is none" if token else "the address is none"
        raise Unavailable(f"{what} ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise Unavailable(_reason(error)) from error


def _refuse_what_is_final(response: requests.Response) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise _Again(f"HTTP {status} {response.reason}", retry_after(response.headers))
    if status not in (200, 206, 304, 416):
        with_token = " to the token that was sent" if "Authorization" in response.request.headers else ""
        kind = Forbidden if status in (401, 403) else Unavailable
        raise kind(f"HTTP {status} {response.reason}{with_token}")
    for before, after in pairwise([*response.history, response]):
        if before.url.startswith("https:") and after.url.startswith("http:"):
            raise Unavailable(f"redirects from https to {shown(after.url)}, which anybody on the way could change")


def _digests(path: Path, kinds: Iterable[str]) -> dict[str, str]:
    with path.open("rb") as stream, Hashing(kinds) as hashing:
        while chunk := stream.read(CHUNK):
            hashing.update(chunk)
        return hashing.results()


def _transfer(
    response: requests.Response, entry: Entry, begun: Record, size: int, label: str, policy: Policy
) -> dict[str, str]:
    """Appends the answer's body to the part and returns the digests of the whole."""
    with Hashing(begun.checksums) as hashing, Progress(label, begun.length, "B", done=size) as progress:
        with entry.part.open("r+b") as out, naming(entry.part):
            while hashing.count < size and (chunk := out.read(min(CHUNK, size - hashing.count))):
                hashing.update(chunk)
            response.raw.enforce_content_length = False  # the length is checked here, with a message of ours
            pace = _Pace(policy)
            while chunk := _read(response, hashing.count):
                out.write(chunk)
                hashing.update(chunk)
                progress.advance(len(chunk))
                pace.add(len(chunk))
        if begun.length is not None and hashing.count < begun.length:
            raise _Again(f"the connection ended after {hashing.count} of {begun.length} bytes")
        return hashing.results()


def _read(response: requests.Response, count: int) -> bytes:
    try:
        return bytes(response.raw.read1(_PIECE, decode_content=False) or b"")
    except _BROKEN as error:
        raise _Again(f"the connection broke after {count} bytes: {_reason(error)}") from error


class _Pace:
    """Gives up on a connection that brings almost nothing."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._since, self._count = policy, time.monotonic(), 0

    def add(self, count: int) -> None:
        self._count += count
        seconds = time.monotonic() - self._since
        if seconds >= self._policy.stretch:
            if self._count < self._policy.slowest * seconds:
                rate = f"{self._count / seconds:.0f} bytes per second"
                raise _Again(f"the connection brings only {rate}", progress=False)
            self._since, self._count = time.monotonic(), 0


def _finish(entry: Entry, record: Record, digests: Mapping[str, str], tries: int) -> str:
    """Checks length and checksums, and makes the part the whole file."""
    size = entry.part.stat().st_size
    wrong = [] if record.length in (None, size) else [f"the size is {size}, expected {record.length}"]
    wrong += [
        f"wrong {kind}: expected {value}, got {digests[kind]}"
        for kind, value in sorted(record.checksums.items())
        if digests[kind] != value
    ]
    if wrong:
        entry.drop_part()
        # Every try of this kind is a whole download: the second one is the last.
        raise _Again(f"the file was damaged on its way: {wrong[0]}", progress=False, cost=max(1, tries // 2))
    entry.finish(replace(record, sha256=digests["sha256"]))
    return digests["sha256"]


def _reason(error: BaseException) -> str:
    """Returns the innermost cause in one line; requests wraps it several times."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(error).__name__}: {cause}"
