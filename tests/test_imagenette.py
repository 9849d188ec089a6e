"""make imagenet: downloads from a real server, what it unpacks, and what it refuses."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from pipeline import imagenette
from pipeline.base.fault import Fault
from pipeline.download.obtain import Access
from pipeline.download.retry import Policy
from pipeline.images import image_set
from tests.conftest import ROOT, Stage, assert_refused, make
from tests.faulty_server import cut, faulty, status
from tests.validation_set import LABELS, content_of, name_of, packed

TOP = imagenette.NAME
# As in the real archive, each of the two parts has images of both of ImageNet's sets.
VALIDATION = {
    f"{TOP}/train/n01440764/{name_of(293)}": content_of(293),
    f"{TOP}/val/n01440764/{name_of(9111)}": content_of(9111),
    f"{TOP}/val/n03888257/{name_of(7)}": content_of(7),
}
OTHER_FILES = {
    f"{TOP}/train/n01440764/n01440764_44.JPEG": content_of(44),
    f"{TOP}/val/n03888257/n03888257_12.JPEG": content_of(12),
    f"{TOP}/noisy_imagenette.csv": b"path,label\n",
}
ARCHIVE = packed(OTHER_FILES | VALIDATION, "w:gz")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(tmp_path / "cache", policy=Policy(sleep=lambda _: None))


def test_the_command_downloads_validation_images_only(stage: Stage, tmp_path: Path) -> None:
    with faulty(ARCHIVE) as server:
        arguments = ["--address", server.url("a.tgz"), "--sha256", digest(ARCHIVE), "--cache", tmp_path / "cache"]
        done = stage("imagenette", tmp_path / "out", *arguments)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "out" / TOP
        assert done.stdout.startswith(f"3 images of ImageNet's validation set; use them with IMAGENET={folder}\n")
        for other in ("ILSVRC2012_img_val.tar", "ImageNetV2", "TensorFlow Datasets", "WebDataset"):
            assert other in done.stdout
        # A second time there is nothing to do, and without the folder the cache has the archive.
        assert stage("imagenette", tmp_path / "out", *arguments).stdout == done.stdout
        assert stage("imagenette", tmp_path / "again", *arguments, "--offline").returncode == 0
        assert len(server.requests) == 1
    images = image_set.open_images(folder, LABELS)
    assert {example.name for example in images.examples} == {name.split("/", 2)[2] for name in VALIDATION}
    for example in images.examples:
        assert images.read(example) == next(data for name, data in VALIDATION.items() if name.endswith(example.name))
        assert not image_set.is_training_image(example)
    assert files(tmp_path / "again" / TOP) == files(folder)


def test_an_interrupted_download_is_resumed(access: Access, tmp_path: Path) -> None:
    with faulty(ARCHIVE, cut(len(ARCHIVE) // 2)) as server:
        assert imagenette.fetch(tmp_path / "out", server.url(), digest(ARCHIVE), access) == 3
        assert [request.start for request in server.requests] == [None, len(ARCHIVE) // 2]


def test_another_archive_is_refused(access: Access, tmp_path: Path) -> None:
    with faulty(ARCHIVE) as server, pytest.raises(Fault) as raised:
        imagenette.fetch(tmp_path / "out", server.url(), "0" * 64, access)
    assert f"wrong sha256: expected {'0' * 64}, got {digest(ARCHIVE)}; nothing was kept" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_failed_download_is_named_with_alternatives(access: Access, tmp_path: Path) -> None:
    with faulty(ARCHIVE, status(403)) as server, pytest.raises(Fault) as raised:
        imagenette.fetch(tmp_path / "out", server.url(), digest(ARCHIVE), access)
    assert str(raised.value).startswith(f"{server.url()}: HTTP 403 Forbidden; give --address of a mirror")
    assert "https://image-net.org/download-images" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARCHIVE[:-40], "not a whole .tar.gz ("),
        (b"no archive", "not a .tar, .tar.gz"),
        (packed(OTHER_FILES, "w:gz"), "no imagenette2-320/.../<synset>/ILSVRC2012_val_<8 digits>.JPEG in it"),
    ],
)
def test_damaged_archives_are_refused(content: bytes, message: str, access: Access, tmp_path: Path) -> None:
    with faulty(content) as server, pytest.raises(Fault) as raised:
        imagenette.fetch(tmp_path / "out", server.url(), digest(content), access)
    assert message in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_an_archive_cannot_write_outside_of_the_folder(tmp_path: Path) -> None:
    evil = [f"{TOP}/val/../../../{name_of(1)}", f"/tmp/{TOP}/val/n01440764/{name_of(2)}", f"../{name_of(3)}"]
    buffer = io.BytesIO(packed({}, "w"))
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in [*evil, *VALIDATION]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 1, 0o4777
            archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo(f"{TOP}/val/n01440764/{name_of(4)}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    import gzip

    (tmp_path / "a.tgz").write_bytes(gzip.compress(buffer.getvalue()))
    assert imagenette.unpack(tmp_path / "a.tgz", tmp_path / "out") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "out"]
    assert set(files(tmp_path / "out")) == {name.split("/", 2)[2] for name in VALIDATION}
    assert all(path.stat().st_mode & 0o7022 == 0 for path in (tmp_path / "out").glob("*/*"))


def test_make_passes_its_settings(tmp_path: Path) -> None:
    done = make(ROOT, "-n", "imagenet", "ARTIFACTS=somewhere", "CACHE=cache", "OFFLINE=1")
    assert "-m pipeline.imagenette 'somewhere/imagenet' --cache='cache' --offline" in done.stdout


def test_the_command_names_its_fault(stage: Stage, tmp_path: Path) -> None:
    done = stage("imagenette", tmp_path / "out", "--cache", tmp_path / "cache", "--offline")
    assert_refused(done, f"imagenet: {imagenette.ADDRESS}: OFFLINE=1, and the cache", "does not have it")
