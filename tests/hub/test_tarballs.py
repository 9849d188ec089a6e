"""Tarballs of a hub: read once, linked, never changed, and replaced only where no index lists them."""

import errno
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.base import siblings
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.hub.folder import read_index
from pipeline.hub.tarballs import Hashed, hash_file, placing
from pipeline.package import package
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.packing_record import content_of, read_record
from tests.test_publish import files, overwrite, publish, write_member


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return write_member(tmp_path / "artifacts/mini")


@pytest.fixture
def new_hub(tmp_path: Path) -> Path:
    return tmp_path / "published"


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the hub is on another disk."""

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(target), None, str(path))

    monkeypatch.setattr(Path, "hardlink_to", refuse)


def test_a_tarball_is_linked_and_nobody_may_write_into_it(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    for head in Head:
        source, published = member / f"{head}.tar.gz", new_hub / f"tester/mini_{head}/1.tar.gz"
        assert source.samefile(published)
        assert published.stat().st_mode & 0o777 == 0o444
    content = files(new_hub)
    write_member(member, b"another graph")  # package replaces its tarballs
    assert files(new_hub) == content


@pytest.mark.usefixtures("no_links")
def test_a_tarball_is_copied_to_another_disk(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    source, published = member / "fe.tar.gz", new_hub / "tester/mini_fe/1.tar.gz"
    assert source.read_bytes() == published.read_bytes()
    assert not source.samefile(published)
    assert published.stat().st_mode & 0o777 == 0o444


def change(path: Path) -> None:
    path.write_bytes(b"other bytes")


def swap(path: Path) -> None:
    overwrite(path, path.read_bytes())


def place_all(tarballs: Sequence[Hashed], folder: Path) -> None:
    with ExitStack() as placed:
        for tarball in tarballs:
            placed.enter_context(placing(tarball, folder / tarball.path.name))


@pytest.mark.parametrize("edit", [change, swap])
def test_a_source_that_changed_after_it_was_read_is_refused(
    tmp_path: Path, edit: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    """The other one is not published either: a member's modules are published together."""
    tarballs = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz")]
    for tarball in tarballs:
        tarball.write_bytes(b"first bytes")
        os.utime(tarball, (1, 1))
    hashed = [hash_file(tarball, "publish") for tarball in tarballs]
    edit(tarballs[1])
    folder = tmp_path / "published"
    reason = r"b\.tar\.gz: changed while it was published; .*run the same command again"
    with pytest.raises(Fault, match=reason):
        place_all(hashed, folder)
    assert list(folder.iterdir()) == []
    if edit is change:  # another file with the same bytes may be copied
        request.getfixturevalue("no_links")
        with pytest.raises(Fault, match=reason):
            place_all(hashed, folder)
        assert list(folder.iterdir()) == []


def test_what_package_remembers_counts_for_its_own_bytes_alone(member: Path, new_hub: Path) -> None:
    tarball = member / "fe.tar.gz"
    sha256 = hash_file(tarball, "").sha256
    assert content_of(tarball, sha256, read_record(tarball)) == folder_digest(member / "fe")
    record = member / "fe.tar.gz.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"content_sha256": "0" * 64}))
    with pytest.raises(Fault, match=r"fe\.tar\.gz: not the model that was validated: .* got 0000"):
        publish(member, new_hub)
    other = member.parent / "other"
    package(member / "classification", other / "fe.tar.gz")
    record.write_bytes((member / "classification.tar.gz.json").read_bytes())
    publish(member, new_hub)  # the record is of other bytes: the tarball is unpacked
    record.unlink()
    publish(member, new_hub)


def test_a_tarball_that_was_edited_after_it_was_packed_is_read(member: Path, new_hub: Path) -> None:
    """It may have the size and the time of before."""
    tarball = member / "fe.tar.gz"
    record, before = read_record(tarball), tarball.stat()
    assert record
    assert record.describes(tarball)
    content = bytearray(tarball.read_bytes())
    content[-1] ^= 1
    tarball.write_bytes(content)
    os.utime(tarball, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert tarball.stat().st_size == before.st_size
    assert not record.describes(tarball)
    with pytest.raises(Fault, match=r"fe\.tar\.gz"):
        publish(member, new_hub)
    assert not list(new_hub.rglob("*.tar.gz"))


def test_a_tarball_that_no_index_lists_is_replaced(member: Path, new_hub: Path) -> None:
    """A publish was stopped before it wrote the index, and the member was built again."""
    orphan = new_hub / "tester/mini_fe/1.tar.gz"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"of an earlier build")
    publish(member, new_hub)
    assert orphan.samefile(member / "fe.tar.gz")
    listed = read_index(new_hub)
    write_member(member, b"another graph")
    with pytest.raises(Fault, match="already published with other bytes"):
        publish(member, new_hub)
    orphan.unlink()
    with pytest.raises(Fault, match="already published with other bytes"):
        publish(member, new_hub)
    assert read_index(new_hub) == listed


def test_leftovers_of_any_host_are_swept_and_those_of_a_running_writer_stay(
    member: Path, new_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_hub / "someone/else_fe"
    folder.mkdir(parents=True)
    left, running, young = (folder / f".1.tar.gz.elsewhere.{number}.part" for number in (7, 8, 9))
    for path in (left, running, young):
        path.write_bytes(b"half")
    publish(member, new_hub)
    assert young.exists()  # it may be locked in a moment
    monkeypatch.setattr(siblings, "QUIET", -1)
    with running.open("wb") as stream, siblings.holding(stream.fileno()):
        publish(member, new_hub)
        assert [path.name for path in folder.iterdir()] == [running.name]
    publish(member, new_hub)
    assert list(folder.iterdir()) == []
