"""The cache of downloads: when its files are used, replaced or dropped."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.base.fault import Unavailable
from pipeline.download import cache
from pipeline.download.cache import Record
from pipeline.download.obtain import Access, obtain_file
from tests.download.client import CONTENT, SHA256, Client
from tests.faulty_server import (
    Handler,
    Resource,
    cut,
    faulty,
    stalling,
    status,
)


def test_a_file_is_kept_until_the_server_has_another(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].headers["if-none-match"] == '"one"'
        assert server.sent == len(CONTENT)
        assert client.get(server.url(), expected=SHA256) == CONTENT  # known by its digest: nobody is asked
        assert len(server.requests) == 2
        server.resource = Resource(CONTENT[::-1], '"two"')
        assert client.get(server.url()) == CONTENT[::-1]


def test_a_good_file_stays_until_the_new_one_is_whole(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        server.resource = Resource(CONTENT[::-1], '"two"')
        server.script += [cut(500_000), *[status(500)] * 5]
        with pytest.raises(Unavailable):
            client.get(server.url())
        assert [path.read_bytes() for path in client.files(server.url())] == [CONTENT]
        assert client.get(server.url()) == CONTENT[::-1]
        assert server.requests[-1].start == 500_000


def test_a_damaged_file_is_downloaded_again(client: Client) -> None:
    with faulty(CONTENT) as server:
        client.get(server.url())
        (path,) = client.files(server.url())
        path.write_bytes(CONTENT[:-1] + b"x")
        assert client.get(server.url(), expected=SHA256) == CONTENT
        assert len(server.requests) == 2


@pytest.mark.parametrize("closed", [False, True])
def test_a_kill_between_the_steps_of_finish_part_loses_neither_file(client: Client, closed: bool) -> None:
    """The record is the new file's already, and the file still the old one."""
    with faulty(CONTENT[::-1], etag='"zero"') as server:
        client.get(server.url())
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            record = Record(server.url(), etag='"one"', length=len(CONTENT), sha256=SHA256)
            entry.start_part(record)
            entry.part_file.write_bytes(CONTENT)
            old = entry.file.read_bytes()
            entry.finish_part(record)
            entry.file.replace(entry.part_file)
            entry.file.write_bytes(old)
        server.resource = Resource(CONTENT)
        server.script += [status(403)] * closed
        before = len(server.requests)
        assert client.get(server.url(), expected=hashlib.sha256(old).hexdigest()) == old
        assert len(server.requests) == before
        with obtain_file(server.url(), Access(client.folder, offline=True), "") as file:
            assert file.path.read_bytes() == CONTENT
        assert client.get(server.url(), expected=SHA256) == CONTENT
        assert len(server.requests) == before


def test_parallel_downloads_of_a_file_wait_for_each_other(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler, resource: Resource) -> None:
        stalling(300_000, reached, go_on)(handler, resource)

    with faulty(CONTENT, slow) as server, ThreadPoolExecutor(5) as pool:
        first = pool.submit(Client(tmp_path).get, server.url())
        assert reached.wait(60)
        others = [pool.submit(Client(tmp_path).get, server.url()) for _ in range(4)]
        go_on.set()
        assert all(one.result() == CONTENT for one in [first, *others])
        assert server.sent == len(CONTENT)  # each byte once


def test_offline_mode_uses_the_cache_alone(tmp_path: Path) -> None:
    with faulty(CONTENT) as server:
        url, offline = server.url(), Access(tmp_path, offline=True)
        with (
            pytest.raises(Unavailable, match=r"OFFLINE=1, and the cache .* does not have it"),
            obtain_file(url, offline, ""),
        ):
            pass
        assert server.requests == []
        with obtain_file(url, Access(tmp_path), ""):
            pass
    with obtain_file(url, offline, "") as file:
        assert file.path.read_bytes() == CONTENT
    file.path.write_bytes(b"damaged")
    with pytest.raises(Unavailable, match="is damaged"), obtain_file(url, offline, ""):
        pass


@pytest.mark.parametrize(
    ("setting", "xdg", "folder"),
    [
        ("/c", "/x", "/c"),
        ("~/c", None, "/home/me/c"),
        (None, "/x", "/x/vit-publisher"),
        (None, None, "/home/me/.cache/vit-publisher"),
        (None, "relative", "/home/me/.cache/vit-publisher"),
    ],
)
def test_folder_of_the_cache(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, xdg: str | None, folder: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if xdg:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache.folder(setting) == Path(folder)


def test_a_full_disk_names_the_file(client: Client) -> None:
    """/dev/full answers every write as a full disk does; the server is not to blame."""
    with faulty(CONTENT) as server:
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            entry.part_file.symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left") as raised:
            client.get(server.url())
    assert str(raised.value.filename).endswith("a.npz.part")
