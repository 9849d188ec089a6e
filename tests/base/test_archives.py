"""Archives of strangers: every packing, and what hostile and damaged ones do."""

import bz2
import errno
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.base import archive_bounds, archives
from pipeline.base.archives import Packing, detect_packing, read_archive, unpack
from pipeline.base.fault import Fault

FILES = {"m/a.txt": b"first" * 1000, "m/deep/b.txt": b"", "c": bytes(range(256))}


def tarred(*more: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Returns a plain tar archive of FILES and of further entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info, content in more:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(files: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/deep/", b"")
        for name, content in (FILES if files is None else files).items():
            archive.writestr(name, content)
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info, bytes(size)


PACKED = {
    Packing.TAR: tarred(),
    Packing.GZIP: gzip.compress(tarred()),
    Packing.BZIP2: bz2.compress(tarred()),
    Packing.XZ: lzma.compress(tarred()),
    Packing.ZIP: zipped(),
}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(path: Path, content: bytes, folder: Path) -> str:
    """Returns why an archive is refused, and checks that it wrote nothing beside its folder."""
    path.write_bytes(content)
    before = {str(other) for other in path.parent.rglob("*") if folder not in other.parents}
    folder.mkdir(exist_ok=True)
    with pytest.raises(Fault) as raised:
        unpack(path, folder)
    assert {str(other) for other in path.parent.rglob("*") if folder not in other.parents} - before <= {str(folder)}
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("packing", Packing)
def test_every_packing_is_told_by_its_content_and_unpacked(packing: Packing, tmp_path: Path) -> None:
    path = tmp_path / "model.whatever"
    path.write_bytes(PACKED[packing])
    assert detect_packing(path) is packing
    (tmp_path / "out").mkdir()
    assert unpack(path, tmp_path / "out") == []
    assert files_below(tmp_path / "out") == FILES


@pytest.mark.parametrize("content", [b"", b"text", bytes(512), b"PK", b"\x89PNG\r\n\x1a\n" + bytes(600)])
def test_other_files_are_no_archives(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    assert detect_packing(tmp_path / "a.tar.gz") is None
    assert "a.tar.gz: not a .tar, .tar.gz" in refusal(tmp_path / "a.tar.gz", content, tmp_path / "out")


@pytest.mark.parametrize("packing", Packing)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_cut_archive_is_called_that(packing: Packing, part: float, tmp_path: Path) -> None:
    content = PACKED[packing].rstrip(b"\0") if packing is Packing.TAR else PACKED[packing]
    said = refusal(tmp_path / "a", content[: int(len(content) * part)], tmp_path / "out")
    assert "it is cut short or damaged; get it again" in said


def test_a_plain_tar_that_ends_between_two_entries_is_cut(tmp_path: Path) -> None:
    assert "no end of archive" in refusal(tmp_path / "a.tar", PACKED[Packing.TAR][: 512 * 11], tmp_path / "out")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_is_no_tar_archive(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    for content in (b"text", bytes(range(256)) * 10, b""):
        assert "but holds no tar archive; unpack it and name" in refusal(
            tmp_path / "a.gz", pack(content), tmp_path / "o"
        )


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    content = bytearray(PACKED[Packing.TAR])
    content[512 * 11 + 3] ^= 1  # in the name of the second entry
    assert "a damaged header" in refusal(tmp_path / "a.tar", bytes(content), tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil", "/evil", "m/../../evil", "a/..", "m/../.."])
def test_names_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    said = refusal(tmp_path / "a", tarred(entry(name)), tmp_path / "out")
    assert f"its entry '{name}' leads outside of the archive" in said
    assert "leads outside" in refusal(tmp_path / "b", zipped({name: b"x"}), tmp_path / "other")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_are_left_out(kind: bytes, tmp_path: Path) -> None:
    """What follows a link would be written through it: here its own folder is made."""
    (tmp_path / "a").write_bytes(tarred(entry("x", kind, target=str(tmp_path)), entry("x/y", size=3)))
    (tmp_path / "out").mkdir()
    assert unpack(tmp_path / "a", tmp_path / "out") == ["x"]
    assert files_below(tmp_path / "out") == FILES | {"x/y": bytes(3)}
    assert not (tmp_path / "y").exists()


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("x")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "out").mkdir()
    assert unpack(tmp_path / "a", tmp_path / "out") == ["x"]


def test_a_zip_of_windows_may_have_backslashes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for name in ("m\\", "m\\deep\\a.txt"):
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            archive.writestr(info, b"x" if name.endswith("txt") else b"")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a", tmp_path / "out")
    assert files_below(tmp_path / "out") == {"m/deep/a.txt": b"x"}


def test_an_encrypted_zip_is_called_that(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"secret"}))
    for at in (content.find(b"PK\x03\x04", 40) + 6, content.rfind(b"PK\x01\x02") + 8):
        content[at] |= 1
    assert "a is encrypted; unpack it with its password" in refusal(tmp_path / "a", bytes(content), tmp_path / "out")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused(pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_bounds, "FREE", 1_000_000)
    content = pack(tarred(entry("saved_model.pb", size=5_000_000)))
    assert "a content of more than 50 times its own size" in refusal(tmp_path / "a", content, tmp_path / "out")


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_bounds, "FREE", 1_000_000)
    content = zipped({str(number): bytes(500_000) for number in range(10)})
    assert "a content of more than 50 times its own size" in refusal(tmp_path / "a", content, tmp_path / "out")


def test_too_many_entries_and_too_long_names_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a", tarred(entry("n" * 1025)), tmp_path / "out")
    assert "a name of 1,025 characters, at most 1,024" in said
    assert "a folder within 64 others, at most 64" in refusal(tmp_path / "b", tarred(entry("d/" * 65)), tmp_path / "o")
    assert "a folder within 64 others" in refusal(tmp_path / "b", zipped({"d/" * 64 + "a": b""}), tmp_path / "o2")
    (tmp_path / "a").write_bytes(tarred())
    with pytest.raises(Fault, match="it has more than 2 entries, as archives have that are made to do harm"):
        list(read_archive(tmp_path / "a", 2))
    assert len(list(read_archive(tmp_path / "a", 3))) == 3


def test_entries_without_content_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives of images have millions of entries, but few that are empty."""
    monkeypatch.setattr(archives, "WITHOUT_CONTENT", 2)
    (tmp_path / "a").write_bytes(tarred(entry("1", size=1), entry("2", tarfile.DIRTYPE)))
    assert len(list(read_archive(tmp_path / "a"))) == 5
    (tmp_path / "a").write_bytes(tarred(entry("2", tarfile.DIRTYPE), entry("3", tarfile.SYMTYPE, target="x")))
    with pytest.raises(Fault, match="it has more than 2 entries without content"):
        list(read_archive(tmp_path / "a"))


def test_folders_that_are_made_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FOLDERS", 60)
    content = tarred(entry("1/" * 50 + "a"), entry("2/" * 50 + "a"))
    assert "more than 60 folders" in refusal(tmp_path / "a", content, tmp_path / "out")


def test_another_spelling_of_a_file_is_refused_where_the_disk_does_not_tell_them_apart(tmp_path: Path) -> None:
    """As on macOS; here the folder is not empty, which does the same."""
    (tmp_path / "out/m").mkdir(parents=True)
    (tmp_path / "out/m/a.txt").touch()
    said = refusal(tmp_path / "a", tarred(), tmp_path / "out")
    assert "its entry 'm/a.txt' is an earlier one in another spelling" in said
    assert (tmp_path / "out/m/a.txt").read_bytes() == b""


def test_of_two_entries_of_one_name_the_last_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(tarred(entry("./c", size=3), entry("M/a.txt", size=2), entry("m//./a.txt", size=1)))
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a", tmp_path / "out")
    assert files_below(tmp_path / "out") == FILES | {"c": bytes(3), "M/a.txt": bytes(2), "m/a.txt": bytes(1)}


def header(kind: bytes, size: int, name: bytes = b"x") -> bytes:
    """Returns a tar header with a size of 11 octal digits, or in base 256 below 0 (as GNU tar writes)."""
    block = bytearray(512)
    block[: len(name)], block[100:108], block[156:157], block[257:265] = name, b"0000644\0", kind, b"ustar  \0"
    block[124:136] = b"%011o\0" % size if size >= 0 else b"\xff" * 4 + struct.pack(">q", size)
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_huge_headers_are_not_read(kind: bytes, tmp_path: Path) -> None:
    content = gzip.compress(header(kind, 90_000_000) + bytes(90_000_000))
    assert "headers of more than 131,072 bytes" in refusal(tmp_path / "a", content, tmp_path / "out")


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_nested_headers_end(kind: bytes, tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.tar", (header(kind, 512) + bytes(512)) * 5000, tmp_path / "out")
    assert "headers of more than" in said or "not a whole" in said


@pytest.mark.parametrize("kind", [b"0", b"5", b"L", b"x", b"S"])
def test_negative_sizes_are_refused(kind: bytes, tmp_path: Path) -> None:
    content = header(b"0", 0) + header(kind, -1024) + bytes(1024)
    said = refusal(tmp_path / "a.tar", content, tmp_path / "out")
    assert "not a whole .tar (" in said or "headers of more than" in said


def test_a_zip_with_a_huge_directory_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped() + bytes(5_000_000) + zipped()[-22:])
    struct.pack_into("<LL", content, len(content) - 10, 5_000_000, 0)
    assert "a directory of 5,000,000 bytes" in refusal(tmp_path / "a", bytes(content), tmp_path / "out")


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a", tarred(entry("c/d")), tmp_path / "out")
    assert "its entry 'c/d' cannot be written below" in said


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    block = bytearray(header(b"S", 0))
    block[483:495] = b"%011o\0" % (1 << 32)  # its real size
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    said = refusal(tmp_path / "a.tar", bytes(block) + bytes(1024), tmp_path / "out")
    assert "a.tar: x is stored as a sparse file, without its zeros; pack it without --sparse" in said


def test_a_full_disk_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.Member, "write", full)
    said = refusal(tmp_path / "a", tarred(), tmp_path / "out")
    assert said.startswith(f"{tmp_path}/out: the disk is full: m/a.txt (5,000 bytes) of {tmp_path}/a could not")
    assert "TMPDIR=" in said


@pytest.mark.parametrize("packing", Packing)
def test_any_damage_is_one_sentence(packing: Packing, tmp_path: Path) -> None:
    """Nothing but a Fault is raised, and nothing is written elsewhere."""
    chance = random.Random(7)
    for number in range(60):
        content = bytearray(PACKED[packing])
        for _ in range(chance.choice((1, 1, 3, 20))):
            content[chance.randrange(len(content.rstrip(b"\0")))] = chance.randrange(256)
        (tmp_path / "a").write_bytes(content)
        (tmp_path / str(number)).mkdir()
        with suppress(Fault):
            unpack(tmp_path / "a", tmp_path / str(number))
    assert {path.name for path in tmp_path.iterdir()} == {"a", *map(str, range(60))}


@pytest.mark.parametrize("packing", [Packing.TAR, Packing.GZIP])
def test_an_archive_that_is_cut_at_any_block_is_refused(packing: Packing, tmp_path: Path) -> None:
    content = tarred(entry("l" * 300), entry("link", tarfile.SYMTYPE, target="c"), form=tarfile.GNU_FORMAT)
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512
    for cut in range(512, end + (512 if packing is Packing.TAR else 0), 256):
        path = tmp_path / f"{cut}.tar"
        part = content[:cut]
        path.write_bytes(part if packing is Packing.TAR else gzip.compress(part)[:-8])
        with pytest.raises(Fault, match="it is cut short or damaged"):
            list(read_archive(path))


def test_what_must_not_be_written_is_not(tmp_path: Path) -> None:
    def check(entry: archives.Entry) -> None:
        if entry.name == "c":
            raise Fault("not this one")

    (tmp_path / "a").write_bytes(tarred())
    (tmp_path / "out").mkdir()
    with pytest.raises(Fault, match="not this one"):
        unpack(tmp_path / "a", tmp_path / "out", check)
    assert not (tmp_path / "out/c").exists()
