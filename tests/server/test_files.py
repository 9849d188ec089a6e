"""Files that change while they are served, and files outside the hub."""

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from pipeline.base.shard_names import shard_of, shard_path
from pipeline.server import files, listing, parsed_files
from tests.server.harness import (
    CANARY,
    MODULE,
    TARBALL,
    Running,
    head,
    rest,
    running,
    sha256,
    split_index,
    write,
    write_hub,
    write_index,
)


# Files that change --------------------------------------------------------------------------------------------------
def test_a_file_replaced_while_it_is_sent_is_sent_whole(own: Running) -> None:
    with own.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        headers = head(client)
        write(own.root / "alice/net/1.tar.gz", b"other")
        write_index(own.root, "alice/net/1")
        body = rest(client)
    assert f'etag: "{sha256(TARBALL)}"'.encode() in headers
    assert sha256(body) == sha256(TARBALL)
    answer = own.ask(MODULE + ".tar.gz")
    assert (answer.body, answer["etag"]) == (b"other", f'"{sha256(b"other")}"')


def test_empty_files(own: Running) -> None:
    for name in ("1.tar.gz", "1.md"):
        write(own.root / "alice/net" / name, b"")
        answer = own.ask(f"/alice/net/{name}")
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"", "0")
        assert own.ask(f"/alice/net/{name}", Range="bytes=0-").status == 416


def test_a_changed_page_has_another_tag_at_once(own: Running) -> None:
    before = own.ask(MODULE + ".md")
    write(own.root / "alice/net/1.md", b"# net 2\n")  # the same size and time
    after = own.ask(MODULE + ".md", If_None_Match=str(before["etag"]))
    assert (after.status, after.body) == (200, b"# net 2\n")
    assert after["etag"] != before["etag"]


def test_a_young_page_is_read_again_though_it_looks_the_same(own: Running) -> None:
    page = own.root / "alice/net/1.md"
    page.write_bytes(b"# first\n")
    assert own.ask(MODULE + ".md").body == b"# first\n"
    with page.open("r+b") as stream:
        stream.write(b"# later\n")
    assert own.ask(MODULE + ".md").body == b"# later\n"


def test_pages_take_no_more_memory_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MEMORY", 10_000)
    for number in range(9):
        write(tmp_path / f"{number}.txt", bytes([65 + number]) * 400)
    write(tmp_path / "large.txt", b"large" * 1900)
    opener = files.HubFiles(tmp_path)

    async def opened(name: str) -> files.Page | files.Large:
        return await opener.open((name,))

    kept = asyncio.run(opened("0.txt"))
    assert asyncio.run(opened("0.txt")) is kept
    asyncio.run(opened("large.txt"))  # 9,500 bytes, and some compressed
    for number in range(1, 9):
        asyncio.run(opened(f"{number}.txt"))
    again = asyncio.run(opened("0.txt"))
    assert again == kept
    assert again is not kept


@pytest.mark.parametrize("damage", ["of other bytes", "of another size", "that is older", "missing", "malformed"])
def test_an_index_is_not_believed_of_files_it_does_not_know(own: Running, damage: str) -> None:
    index = own.root / "index.json"
    entry = {"path": "alice/net/1.tar.gz", "size": len(TARBALL), "sha256": "0" * 64}
    if damage == "of another size":
        entry["size"] = 5
    elif damage == "malformed":
        entry["sha256"] = "0" * 63
    index.write_text(json.dumps({"modules": {"alice/net/1": {"files": [entry]}}, "collections": {}}))
    os.utime(index, (0, 1_600_000_000 if damage == "that is older" else 1_800_000_000))
    if damage == "missing":
        index.unlink()
    # Of the right size and younger than the file, it is believed: a damaged file then shows by its own digest.
    expected = "0" * 64 if damage == "of other bytes" else sha256(TARBALL)
    assert own.ask(MODULE + ".tar.gz", "HEAD")["etag"] == f'"{expected}"'


def test_a_hub_without_index_json_has_its_digests_from_the_shards(own: Running) -> None:
    index = json.loads((own.root / "index.json").read_text())
    index["modules"]["alice/net/1"]["files"][0]["sha256"] = "0" * 64  # which shows that it was read
    (own.root / "index.json").write_text(json.dumps(index))
    split_index(own.root)
    assert own.ask(MODULE + ".tar.gz", "HEAD")["etag"] == f'"{"0" * 64}"'
    assert own.ask("/alice/net/2.tar.gz", "HEAD")["etag"] == f'"{sha256(b"version 2")}"'  # no shard lists it
    os.utime(own.root / shard_path(shard_of("alice/net")), (0, 1_600_000_000))
    assert own.ask(MODULE + ".tar.gz", "HEAD")["etag"] == f'"{sha256(TARBALL)}"'


@pytest.mark.parametrize("name", ["model.tflite", "onnx/model.onnx"])
def test_large_models_are_served_as_tarballs_are(own: Running, name: str) -> None:
    """Their digests come from the index, and parts of them from the disk."""
    write(own.root / "alice/net/1" / name, TARBALL)
    index = json.loads((own.root / "index.json").read_text())
    entry = {"path": f"alice/net/1/{name}", "size": len(TARBALL), "sha256": "0" * 64}  # which shows that it was read
    index["modules"]["alice/net/1"]["files"].append(entry)
    (own.root / "index.json").write_text(json.dumps(index))
    os.utime(own.root / "index.json", (1_700_000_002, 1_700_000_002))
    answer = own.ask(f"{MODULE}/{name}", Range="bytes=5-8")
    assert (answer.status, answer.body, answer["etag"]) == (206, TARBALL[5:9], f'"{"0" * 64}"')
    assert own.ask(f"{MODULE}/{name}", If_None_Match=str(answer["etag"])).status == 304
    os.utime(own.root / "index.json", (0, 1_600_000_000))
    assert own.ask(f"{MODULE}/{name}", "HEAD")["etag"] == f'"{sha256(TARBALL)}"'


def test_a_file_that_shrinks_ends_the_connection(own: Running, caplog: pytest.LogCaptureFixture) -> None:
    with own.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        headers = head(client)
        os.truncate(own.root / "alice/net/1.tar.gz", 1000)
        body = rest(client)
    assert f"content-length: {len(TARBALL)}".encode() in headers
    assert len(body) < len(TARBALL)
    assert "a file became shorter while it was sent" in caplog.text
    assert own.ask("/").status == 200


# Nothing outside the hub --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "target",
    [
        "/link.md",
        "/alice/linked/canary.md",
        "/alice/net/12.tar.gz",
        "/alice/net/12?tf-hub-format=compressed",
        "/alice/linked",
        "/alice/net/13.tar.gz",
        "/../canary.md",
        "/alice/../../canary.md",
        "/%2e%2e/canary.md",
        "/..%2fcanary.md",
        "/%252e%252e/canary.md",
        "/..%5ccanary.md",
        "/%c0%ae%c0%ae/canary.md",
        "/canary.md%00.html",
        "//canary.md",
        "///etc/passwd",
        "/etc/passwd",
        "/.lock",
        "/%2elock",
        "/alice/net/.1.tar.gz.part",
        "/alice/net/./1.md",
        "/alice//net/1.md",
        "/alice/net/1.md/",
        "/alice/net/1.md/x.md",
        "/" + "a" * 300 + ".md",
        "/" + "a/" * 3000 + "b.md",
    ],
)
def test_what_is_no_file_of_the_hub_is_not_there(shared: Running, target: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 404
    assert b"hub" in answer.body
    assert CANARY not in answer.body


def test_no_answer_names_a_folder_of_the_machine(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an error page nor /healthz; the operator reads it on standard error."""
    place = str(own.root.parent).encode()

    def answers(*expected: int) -> None:
        targets = ("/", "/healthz", "/metrics", "/alice", MODULE, MODULE + ".tar.gz", "/nowhere", "/index.json")
        received = [own.ask(target) for target in targets] + [own.ask("/", "POST")]
        assert {answer.status for answer in received} == set(expected)
        for answer in received:
            text = answer.body if answer.status != 200 or answer["content-type"] == "application/json" else b""
            assert place not in text + repr(answer.headers).encode()
            assert b"Traceback" not in text

    answers(200, 302, 404, 405)
    (own.root / "index.json").write_text("{")
    answers(200, 302, 404, 405, 503)

    def broken(root: Path, names: tuple[str, ...]) -> tuple[int, os.stat_result]:
        raise OSError(errno.EIO, "the disk fails", str(root.joinpath(*names)))

    for module in (files, parsed_files, listing):
        monkeypatch.setattr(module, "open_file", broken)
    answers(500, 405)


def test_a_hub_may_itself_be_a_link(tmp_path: Path) -> None:
    write_hub(tmp_path / "monday")
    (tmp_path / "hub").symlink_to("monday")
    with running(tmp_path / "hub") as here:
        assert here.ask("/alice/alice.md").body == b"# alice\n"
        write(tmp_path / "tuesday/alice/alice.md", b"# tuesday\n")
        (tmp_path / "next").symlink_to("tuesday")
        (tmp_path / "next").replace(tmp_path / "hub")
        assert here.ask("/alice/alice.md").body == b"# tuesday\n"
