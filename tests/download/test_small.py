"""Small files over one session: interrupted answers are tried again, and no answer is endless."""

import threading

import pytest

from pipeline.base.fault import Forbidden, NotFound, Unavailable
from pipeline.download.retry import Policy
from pipeline.download.small import SmallFiles
from tests.faulty_server import cut, dripping, faulty, partial, status, whole

CONTENT = bytes(range(256)) * 40
PATIENT = Policy(sleep=lambda _: None)


def test_a_file_comes_whole_however_the_line_is_cut() -> None:
    with faulty(CONTENT) as server:
        server.script += [cut(0, reset=True), cut(100), status(503), cut(5000, reset=True)]
        assert SmallFiles(PATIENT).get(server.url(), len(CONTENT), "get") == CONTENT
        assert len(server.requests) == 5


def test_no_more_is_read_than_is_wanted() -> None:
    with faulty(CONTENT) as server:
        files = SmallFiles(PATIENT)
        assert files.get(server.url(), 99, "get") == CONTENT[:100]
        server.script.append(whole(Content_Length=None))
        assert files.get(server.url(), len(CONTENT) - 1, "get") == CONTENT


@pytest.mark.parametrize(
    ("code", "kind"), [(404, NotFound), (410, NotFound), (403, Forbidden), (401, Forbidden), (418, Unavailable)]
)
def test_final_answers_are_final(code: int, kind: type[Exception]) -> None:
    with faulty(CONTENT) as server:
        server.script.append(status(code))
        with pytest.raises(kind, match=f"HTTP {code}"):
            SmallFiles(PATIENT).get(server.url(), 1000, "get")
        assert len(server.requests) == 1


def test_answers_that_are_not_the_file_are_refused() -> None:
    with faulty(CONTENT) as server:
        server.script.append(partial("bytes 0-9/10", b"0123456789"))
        with pytest.raises(Unavailable, match="HTTP 206 does not fit"):
            SmallFiles(PATIENT).get(server.url(), 1000, "get")
        server.script.append(whole(Content_Encoding="gzip"))
        with pytest.raises(Unavailable, match="gzip-encoded"):
            SmallFiles(PATIENT).get(server.url(), 1000, "get")


def test_a_host_that_drips_or_always_fails_is_given_up() -> None:
    stop = threading.Event()
    quick = Policy(sleep=lambda _: None, tries=2, slowest=1e6, stretch=0.05)
    with faulty(CONTENT) as server:
        server.script += [dripping(stop)] * 2
        with pytest.raises(Unavailable, match="brings only"):
            SmallFiles(quick).get(server.url(), len(CONTENT), "get")
        stop.set()
        server.script += [status(500)] * 2
        with pytest.raises(Unavailable, match="HTTP 500"):
            SmallFiles(quick).get(server.url(), 1000, "get")
