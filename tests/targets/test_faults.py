"""Tests of targets on a bad line and on full stores: real servers behind a proxy that cuts, and answers errors."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.targets.interface import AlreadyThere, Moved, Target
from pipeline.targets.object_store import PART
from tests.targets.conftest import QUICK, Opener, nothing
from tests.targets.proxy import (
    Behaviour,
    Handler,
    Proxy,
    Request,
    cut,
    good,
    halve,
    lose_answer,
    proxying,
    status,
)
from tests.targets.servers import (
    Missing,
    Server,
    Servers,
    azurite,
    fake_gcs,
    moto,
    s3_environment,
    unfinished,
)

PATH = "index/3f.json"
STORES = {"s3": moto, "gs": fake_gcs, "az": azurite}


@pytest.fixture(params=list(STORES))
def line(request: pytest.FixtureRequest, servers: Servers, open_on: Opener) -> Iterator[tuple[Target, Proxy]]:
    """An empty target of each store behind a proxy."""
    try:
        server = servers.get(STORES[request.param])
    except Missing as missing:
        pytest.skip(f"needs {missing}")
    with proxying(server.url) as proxy:
        environment = {name: value.replace(server.url, proxy.url) for name, value in server.environment.items()}
        target = open_on(replace(server, url=proxy.url, environment=environment))
        yield target, proxy


@pytest.fixture
def s3(servers: Servers, open_on: Opener) -> Iterator[tuple[Target, Proxy]]:
    """An empty target in a bucket of S3 behind a proxy."""
    with proxying(servers.get(moto).url) as proxy:
        yield open_on(Server(proxy.url, "s3://hub", s3_environment(proxy.url))), proxy


@pytest.mark.parametrize("fault", [cut, lose_answer, status(503), status(500)], ids=["cut", "lost", "503", "500"])
def test_writes_are_repeated(line: tuple[Target, Proxy], fault: Behaviour) -> None:
    target, proxy = line
    proxy.script += [fault, fault]
    first = target.create(PATH, b"first")
    assert target.get(PATH) == (b"first", first)
    proxy.script += [fault, fault]
    second = target.swap(PATH, b"second", first.tag)
    assert target.get(PATH) == (b"second", second)


def test_lost_answer_and_another_write(s3: tuple[Target, Proxy]) -> None:
    """Our write succeeded, but its answer was lost, and somebody else has written since: that is not ours."""
    target, proxy = s3
    first = target.create(PATH, b"first")

    def lose_and_overwrite(handler: Handler, request: Request) -> None:
        handler.ask(request)
        headers = {name: value for name, value in request.headers.items() if not name.startswith("if-")}
        handler.ask(Request("PUT", request.path, headers | {"content-length": "6"}, b"theirs"))
        handler.reset()

    proxy.script += [lose_and_overwrite]
    with pytest.raises(Moved):
        target.swap(PATH, b"second", first.tag)
    proxy.script += [lose_and_overwrite]
    with pytest.raises(AlreadyThere):
        target.create("claims/a.json", b"ours")


def test_busy_store_has_not_written(s3: tuple[Target, Proxy]) -> None:
    """After a 503 SlowDown the same content is somebody else's."""
    target, proxy = s3
    first = target.create(PATH, b"1")

    def slow_down(handler: Handler, request: Request) -> None:
        handler.ask(request)  # as if another publisher had sent it
        status(503, "SlowDown")(handler, request)

    proxy.script += [slow_down]
    with pytest.raises(Moved):
        target.swap(PATH, b"2", first.tag)


def test_conflict_of_two_writes_is_repeated(s3: tuple[Target, Proxy]) -> None:
    target, proxy = s3
    proxy.script += [status(409, "ConditionalRequestConflict")]
    first = target.create(PATH, b"first")
    proxy.script += [status(409, "ConditionalRequestConflict")]
    assert target.swap(PATH, b"second", first.tag).size == 6


def test_reads_go_on_where_the_line_was_cut(line: tuple[Target, Proxy], tmp_path: Path) -> None:
    target, proxy = line
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    target.put_large("a.tar.gz", tmp_path / "a", nothing)
    for script in ([cut, status(503)], [halve], [halve, halve]):
        proxy.script += script
        assert b"".join(target.chunks("a.tar.gz")) == content
    proxy.script += [halve, status(502)]
    assert (target.get("a.tar.gz") or (b"",))[0] == content
    proxy.script += [cut, halve]
    assert [stored.path for stored in target.list("")] == ["a.tar.gz"]


def test_uploads_survive_a_bad_line(line: tuple[Target, Proxy], tmp_path: Path) -> None:
    target, proxy = line
    content, sent = os.urandom(PART + 1_000_000), list[int]()
    (tmp_path / "a").write_bytes(content)
    proxy.script += [status(503), good, cut, status(500), lose_answer]
    stored = target.put_large("a.tar.gz", tmp_path / "a", sent.append)
    assert sum(sent) == stored.size == len(content)
    assert b"".join(target.chunks("a.tar.gz")) == content
    assert target.sweep() == 0


def test_lost_answer_of_a_completed_upload(s3: tuple[Target, Proxy], tmp_path: Path) -> None:
    target, proxy = s3
    (tmp_path / "a").write_bytes(content := os.urandom(PART + 1_000_000))
    lost = list[Request]()

    def choose(request: Request) -> Behaviour:
        if request.method == "POST" and "uploadId=" in request.path and not lost:
            lost.append(request)
            return lose_answer
        return good

    proxy.choose = choose
    sent = list[int]()
    target.put_large("a.tar.gz", tmp_path / "a", sent.append)
    assert lost
    assert sum(sent) == len(content)
    assert b"".join(target.chunks("a.tar.gz")) == content


def test_a_line_cut_in_the_list_of_unfinished_uploads(s3: tuple[Target, Proxy]) -> None:
    """It is read by requests, not by obstore."""
    target, proxy = s3
    proxy.script += [halve, cut]
    assert target.sweep() == 0
    assert len(proxy.requests) == 3


def test_dead_store_is_one_sentence(line: tuple[Target, Proxy]) -> None:
    target, proxy = line
    proxy.choose = lambda request: status(503, "SlowDown")
    with pytest.raises(Fault, match=r"^\w\w://hub/hubs/\w+: the target answers 503 .*again and again; try later$"):
        target.create(PATH, b"")
    assert sum(request.method != "GET" for request in proxy.requests) == QUICK.tries
    proxy.choose = lambda request: cut
    with pytest.raises(Fault, match=r"cannot be reached .*check the network, the proxy and"):
        target.head(PATH)


@pytest.mark.parametrize(
    "answer", [status(507, "InsufficientStorage"), status(403, "QuotaExceeded")], ids=["507", "403"]
)
def test_full_store_keeps_nothing(s3: tuple[Target, Proxy], tmp_path: Path, answer: Behaviour) -> None:
    target, proxy = s3
    (tmp_path / "a").write_bytes(os.urandom(PART + 1_000_000))
    sentence = r"^s3://hub/\S+: the target is full \((507|403) \w+\); nothing of the file was kept\. Free some space"
    proxy.choose = lambda request: answer if request.method == "PUT" else good
    for write in (
        lambda: target.create(PATH, b"a"),
        lambda: target.swap(PATH, b"a", None),
        lambda: target.put_large("a.tar.gz", tmp_path / "a", nothing),
    ):
        with pytest.raises(Fault, match=sentence):
            write()
    proxy.choose = None
    assert list(target.list("")) == []
    assert unfinished(f"http://{proxy.upstream}") == 0


def test_full_google_keeps_nothing(servers: Servers, open_on: Opener, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 1000)
    with proxying(servers.get(fake_gcs).url) as proxy:
        target = open_on(Server(proxy.url, "gs://hub", {"STORAGE_EMULATOR_HOST": proxy.url}))
        proxy.choose = lambda request: status(507) if request.method == "POST" else good
        for write in (
            lambda: target.create(PATH, b"a"),
            lambda: target.put_large("a.tar.gz", tmp_path / "a", nothing),
        ):
            with pytest.raises(Fault, match="the target is full"):
                write()
        assert list(target.list("")) == []
