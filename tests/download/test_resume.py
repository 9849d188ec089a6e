"""Resumed downloads: after cuts, kills and wrong answers, the right file in the end and no byte twice."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.download import cache
from pipeline.download.cache import Part, Record
from pipeline.download.resume import Answer, Step, choose_step
from tests.conftest import ROOT
from tests.download.client import CLIENT, CONTENT, SHA256, Client
from tests.faulty_server import (
    Behaviour,
    Faulty,
    Handler,
    Resource,
    cut,
    faulty,
    good,
    partial,
    redirect,
    stalling,
    status,
    whole,
)

KNOWN = Record("u", etag='"one"', generation="7", length=100, checksums={"md5": "aa"})


@pytest.mark.parametrize(
    ("part", "answer", "step"),
    [
        (None, Answer(200, KNOWN, 0), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, KNOWN, 40), Step.RESUME),
        (Part(KNOWN, 40), Answer(206, Record("u", length=100), 40), Step.RESUME),  # fewer headers are enough
        (Part(KNOWN, 40), Answer(206, KNOWN, 39), Step.RESTART),  # another range
        (Part(KNOWN, 40), Answer(206, KNOWN, None), Step.RESTART),  # no range
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"two"', length=100), 40), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"one"', generation="8", length=100), 40), Step.RESTART),
        (Part(KNOWN, 40), Answer(206, Record("u", etag='"one"', length=101), 40), Step.RESTART),
        (
            Part(KNOWN, 40),
            Answer(206, Record("u", etag='"one"', length=100, checksums={"md5": "bb"}), 40),
            Step.RESTART,
        ),
        (Part(KNOWN, 40), Answer(200, KNOWN, 0), Step.RESTART),
        (Part(KNOWN, 100), Answer(416, Record("u", length=100), None), Step.KEEP),
        (Part(KNOWN, 100), Answer(416, Record("u"), None), Step.KEEP),
        (Part(KNOWN, 40), Answer(416, Record("u", length=100), None), Step.RESTART),
        (Part(KNOWN, 120), Answer(416, Record("u", length=100), None), Step.RESTART),
        (Part(KNOWN, 100), Answer(416, Record("u", etag='"two"', length=100), None), Step.RESTART),
        (Part(Record("u", etag='"one"'), 40), Answer(416, Record("u"), None), Step.RESTART),  # no length
    ],
)
def test_choose_step(part: Part | None, answer: Answer, step: Step) -> None:
    assert choose_step(part, answer) is step


@pytest.mark.parametrize("reset", [False, True])
def test_a_download_cut_at_every_tenth_resumes_there(client: Client, reset: bool) -> None:
    tenths = [len(CONTENT) * tenth // 10 for tenth in range(10)]
    with faulty(CONTENT, *(cut(position, reset) for position in tenths)) as server:
        assert client.get(server.url()) == CONTENT
    starts = [request.start or 0 for request in server.requests]
    assert starts == sorted(starts)
    if not reset:  # a reset may take away bytes that were on their way
        assert starts == [0, 0, *tenths[1:]]
        assert server.sent == len(CONTENT)
    assert all(request.headers["if-range"] == '"one"' for request in server.requests if request.start)


@pytest.mark.parametrize("tenth", range(10))
def test_another_process_resumes_a_download_cut_at_any_tenth(client: Client, tenth: int) -> None:
    position = len(CONTENT) * tenth // 10
    with faulty(CONTENT, cut(position)) as server:
        other = Client(client.folder, tries=1)
        assert str(position) in other.refused(server.url())
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, position or None]


def test_200_to_a_range_restarts(client: Client) -> None:
    with faulty(CONTENT, cut(500_000), whole()) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, 500_000]


def test_a_changed_file_restarts(client: Client) -> None:
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.etag = other, '"two"'
        good(handler, resource)

    with faulty(CONTENT, cut(500_000), change) as server:
        assert client.get(server.url()) == other


def test_a_range_of_a_changed_file_is_refused(client: Client) -> None:
    """The server ignores If-Range and sends the range of the new file; only its ETag shows it."""
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.etag = other, '"two"'
        partial(f"bytes 500000-{len(other) - 1}/{len(other)}", other[500_000:])(handler, resource)

    with faulty(CONTENT, cut(500_000), change) as server:
        assert client.get(server.url()) == other
        assert [request.start for request in server.requests] == [None, 500_000, None]


def test_a_changed_generation_restarts(client: Client) -> None:
    other = CONTENT[::-1]

    def change(handler: Handler, resource: Resource) -> None:
        resource.content, resource.headers = other, {"x-goog-generation": "2"}
        good(handler, resource)

    with faulty(CONTENT, cut(500_000), change, headers={"x-goog-generation": "1"}) as server:
        assert client.get(server.url()) == other


@pytest.mark.parametrize(
    "wrong",
    [
        partial(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT),
        partial(f"bytes 499999-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT[499_999:]),
        partial(f"bytes 500000-{len(CONTENT)}/{len(CONTENT) + 1}", CONTENT[500_000:] + b"x"),
        partial(None, CONTENT[500_000:]),
        partial("multipart nonsense", CONTENT[500_000:]),
        status(416, Content_Range="bytes */7"),
        status(416),
    ],
)
def test_a_wrong_range_restarts(client: Client, wrong: Behaviour) -> None:
    with faulty(CONTENT, cut(500_000), wrong) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, 500_000, None]


def test_416_after_the_last_byte_keeps_the_file(client: Client) -> None:
    """For instance after a kill right after the last byte."""
    with faulty(CONTENT) as server:
        client.get(server.url())
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            record = entry.read_whole()
            assert record
            entry.start_part(record)
            entry.file.replace(entry.part_file)
            entry.drop_file()
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].start == len(CONTENT)
        assert server.sent == len(CONTENT)


@pytest.mark.parametrize("etag", [None, 'W/"one"', "one"])
def test_without_a_strong_etag_nothing_is_resumed(client: Client, etag: str | None) -> None:
    with faulty(CONTENT, cut(500_000), etag=etag) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, None]


def test_a_redirected_download_is_resumed(client: Client) -> None:
    """Each try begins at the first address, since Hugging Face's second address is signed and expires."""
    with faulty(CONTENT, cut(400_000)) as store, faulty(b"") as front:
        front.script += [redirect(store.url(), X_Linked_Etag=f'"{SHA256}"')] * 2
        assert client.get(front.url()) == CONTENT
    assert [request.start for request in store.requests] == [None, 400_000]


@pytest.mark.parametrize("text", ["", "{", '{"url": 1, "new": 2}'])
def test_an_unreadable_record_restarts(client: Client, text: str) -> None:
    with faulty(CONTENT, cut(500_000)) as server:
        Client(client.folder, tries=1).refused(server.url())
        (path,) = client.folder.rglob("part.json")
        path.write_text(text)
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].start is None


def run_client(server: Faulty, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLIENT, server.url(), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_kills_at_random_points(tmp_path: Path) -> None:
    """Kills one download again and again; no byte is downloaded twice."""
    points = sorted(random.Random(0).sample(range(1, len(CONTENT)), 12))
    with faulty(CONTENT) as server:
        for point in points:
            reached, go_on = threading.Event(), threading.Event()
            server.script.append(stalling(point, reached, go_on))
            process = run_client(server, tmp_path)
            assert reached.wait(60)
            process.kill()
            assert process.wait() == -9
            assert process.stdout
            process.stdout.close()
            go_on.set()
            assert not Client(tmp_path).files(server.url())
        done = run_client(server, tmp_path)
        assert done.communicate(timeout=60)[0].strip() == SHA256
    starts = [request.start or 0 for request in server.requests]
    assert len(starts) == len(points) + 1
    assert starts == sorted(starts)
    assert all(start <= point for start, point in zip(starts[1:], points, strict=True))
