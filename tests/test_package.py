"""The tarball: order, permitted files, the same bytes every time."""

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.package import package
from pipeline.saved_model.files import folder_digest, tarball_digest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files as a SavedModel has them; package looks at names and bytes alone."""
    folder = tmp_path / "classification"
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra/labels.tsv").write_text("a\tA\n")
    return folder


def test_order_and_headers(model: Path, tmp_path: Path) -> None:
    package(model, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == [
        "assets.extra",
        "assets.extra/labels.tsv",
        "variables",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
        "saved_model.pb",
    ]
    for entry in entries:
        assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0)
        assert entry.isdir() or entry.isreg()
        assert entry.mode == (0o755 if entry.isdir() else 0o644)


def test_content_survives(model: Path, tmp_path: Path) -> None:
    package(model, tmp_path / "a.tar.gz")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "a.tar.gz", "-C", tmp_path / "out"], check=True)
    subprocess.run(["diff", "-r", model, tmp_path / "out"], check=True)
    assert tarball_digest(tmp_path / "a.tar.gz") == folder_digest(model)


def test_the_same_bytes_at_another_time_in_another_folder(model: Path, tmp_path: Path) -> None:
    first = package(model, tmp_path / "a.tar.gz")
    other = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", model, other], check=True)
    os.utime(other / "saved_model.pb", (1, 1))
    (other / "saved_model.pb").chmod(0o600)
    assert package(other, tmp_path / "b.tar.gz") == first
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_digest_beside_it_is_sha256sums(model: Path, tmp_path: Path) -> None:
    sha256 = package(model, tmp_path / "a.tar.gz")
    assert sha256 == hashlib.sha256((tmp_path / "a.tar.gz").read_bytes()).hexdigest()
    subprocess.run(["sha256sum", "--check", "a.tar.gz.sha256"], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["notes.txt", "variables/extra", "saved_model.pbtxt"])
def test_files_that_are_not_published_are_refused(model: Path, tmp_path: Path, name: str) -> None:
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).write_text("")
    with pytest.raises(Fault) as raised:
        package(model, tmp_path / "a.tar.gz")
    assert str(raised.value).startswith(f"{model / name}: a published module holds only")
    assert not list(tmp_path.glob("*a.tar.gz*"))


def test_unknown_folders_are_refused_even_when_empty(model: Path, tmp_path: Path) -> None:
    (model / "debug").mkdir()
    with pytest.raises(Fault, match="debug: a published module holds only"):
        package(model, tmp_path / "a.tar.gz")


def test_links_are_refused(model: Path, tmp_path: Path) -> None:
    (model / "assets").mkdir()
    (model / "assets/passwords").symlink_to("/etc/passwd")
    with pytest.raises(Fault, match="only folders and regular files"):
        package(model, tmp_path / "a.tar.gz")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(Fault, match=r"no saved_model\.pb"):
        package(tmp_path / "m", tmp_path / "a.tar.gz")


@pytest.mark.parametrize("cut", [20, 400])
def test_a_cut_tarball_is_refused(model: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.tar.gz"
    package(model, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Fault, match=r"not a whole \.tar\.gz"):
        tarball_digest(path)
