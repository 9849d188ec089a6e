"""Opening a SavedModel by whatever name people have for it: for doctor, which reads it, and evaluate."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.saved_model import remote
from pipeline.saved_model.files import model_digest
from pipeline.saved_model.opening import open_folder, read_files
from pipeline.saved_model.remote import Downloads, local_copy, open_model
from tests.conftest import serving_folder
from tests.faulty_server import faulty, status
from tests.saved_model.graphs import write_graph
from tests.server.harness import running, write_index

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 98765\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in | Kaggle</title></head></html>"


def opened(path: Path) -> tuple[set[str], str]:
    """Opens a model in both ways; returns the names of its files, the same in both, and the note."""
    files, content = read_files(path)
    prefix = f"{files.root}/" if files.root else ""
    listed = {
        entry.name.removeprefix(prefix) for entry in files.entries if entry.kind == "file" or entry.kind == "link"
    }
    with open_folder(path) as (folder, note):
        assert (folder / files.graph).read_bytes() == content
        there = {str(below.relative_to(folder)) for below in folder.rglob("*") if below.is_file()}
    assert there <= listed
    assert note == files.note
    return there, note


def refused(path: Path) -> str:
    """Returns why a path is refused, the same in both ways."""
    with pytest.raises(Fault) as first:
        read_files(path)
    with pytest.raises(Fault) as second, open_folder(path):
        pass
    assert str(first.value) == str(second.value)
    assert str(first.value).startswith(str(path))
    assert "\n" not in str(first.value)
    assert "make convert" not in str(first.value)
    return str(first.value).removeprefix(f"{path}: ")


ALL = {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"}


def tar(mode: str, root: str = ".") -> Callable[[Path, Path], None]:
    def pack(folder: Path, out: Path) -> None:
        with tarfile.open(out, mode) as archive:  # type: ignore[call-overload]
            archive.add(folder, root)

    return pack


def zipped(root: str = "") -> Callable[[Path, Path], None]:
    def pack(folder: Path, out: Path) -> None:
        with zipfile.ZipFile(out, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, root + path.relative_to(folder).as_posix())

    return pack


@pytest.mark.parametrize(
    ("pack", "note"),
    [
        (tar("w"), ""), (tar("w:gz"), ""), (tar("w:bz2"), ""), (tar("w:xz"), ""), (zipped(), ""),
        (tar("w", "m"), "the model is in m/"), (tar("w:gz", "m"), "the model is in m/"),
        (tar("w:xz", "deep/down/m"), "the model is in deep/down/m/"), (zipped("a/b/"), "the model is in a/b/"),
    ],
)  # fmt: skip
def test_archives(pack: Callable[[Path, Path], None], note: str, tmp_path: Path) -> None:
    pack(write_graph(tmp_path / "m"), tmp_path / "downloaded")
    assert opened(tmp_path / "downloaded") == (ALL, note)


def test_folders(tmp_path: Path) -> None:
    write_graph(tmp_path / "models/google/mobilenet/tensorFlow2/tf2-preview/4")  # as kagglehub's cache has it
    (tmp_path / "models/.git").mkdir()
    at = "google/mobilenet/tensorFlow2/tf2-preview/4"
    assert opened(tmp_path / "models") == (ALL, f"the model is in {at}/")
    assert opened(tmp_path / "models" / at) == (ALL, "")
    assert opened(tmp_path / "models" / at / "saved_model.pb") == (ALL, "")


@pytest.mark.parametrize("pack", [None, tar("w:gz", "model"), zipped("model/")])
def test_the_newest_version_of_a_serving_folder(pack: Callable[[Path, Path], None] | None, tmp_path: Path) -> None:
    for version in ("1", "00002", "10"):
        write_graph(tmp_path / "model" / version)
        (tmp_path / "model" / version / "variables/variables.index").write_text(version)
    path = tmp_path / ("packed" if pack else "model")
    if pack:
        pack(tmp_path / "model", path)
    root = "model/10" if pack else "10"
    assert opened(path)[1] == f"the newest of the versions 1, 00002, 10 is {root}/"
    with open_folder(path) as (folder, _):
        assert (folder / "variables/variables.index").read_text() == "10"


@pytest.mark.parametrize("pack", [None, tar("w:gz"), zipped()])
def test_several_models_are_listed(pack: Callable[[Path, Path], None] | None, tmp_path: Path) -> None:
    for name in ("b/classifier", "a", "b/features"):
        write_graph(tmp_path / "model" / name)
    path = tmp_path / ("packed" if pack else "model")
    if pack:
        pack(tmp_path / "model", path)
    todo = "unpack it and name the folder of one of them" if pack else "name one of them"
    assert refused(path) == f"it holds several SavedModels: a, b/classifier, b/features; {todo}"


def test_a_snapshot_of_hugging_face(tmp_path: Path) -> None:
    """Its files are links into a folder of blobs, and `main` may have moved."""
    write_graph(tmp_path / "blobs")
    for sha in ("abc", "def"):
        (tmp_path / "snapshots" / sha / "variables").mkdir(parents=True)
        for name in ALL:
            (tmp_path / "snapshots" / sha / name).symlink_to(tmp_path / "blobs" / name)
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs/main").write_text("def")
    files, _ = read_files(tmp_path)
    assert files.path == f"{tmp_path}/snapshots/def"
    assert opened(tmp_path) == (ALL, "")
    (tmp_path / "blobs/saved_model.pb").unlink()
    with pytest.raises(Fault, match=r"snapshots/def/saved_model\.pb: it is a link to .*, which is missing; download"):
        read_files(tmp_path)


def test_the_models_own_folders_may_be_links(tmp_path: Path) -> None:
    """As TensorFlow reads them; links beside the model, which may lead anywhere, are not followed."""
    write_graph(tmp_path / "m")
    (tmp_path / "m/variables").rename(tmp_path / "weights")
    (tmp_path / "m/variables").symlink_to(tmp_path / "weights")
    (tmp_path / "m/everything").symlink_to("/")
    (tmp_path / "weights/loop").symlink_to(tmp_path / "weights")
    files, _ = read_files(tmp_path / "m")
    assert files.has("variables/variables.index")
    assert not any(entry.name.startswith(("everything/", "variables/loop/")) for entry in files.entries)
    digest = model_digest(tmp_path / "m")
    (tmp_path / "weights/variables.data-00000-of-00001").write_bytes(b"others")
    assert model_digest(tmp_path / "m") != digest
    (tmp_path / "weights/variables.index").unlink()
    (tmp_path / "weights/variables.index").symlink_to("nowhere")
    assert "variables/variables.index: it is a link to nowhere, which is missing;" in refused(tmp_path / "m")


def test_an_archive_of_links_says_how_to_pack_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("m/saved_model.pb")
        link.type, link.linkname = tarfile.SYMTYPE, "../blobs/1234"
        archive.addfile(link)
    assert refused(tmp_path / "a.tar").startswith("its m/saved_model.pb is a link or a special file, which is not unp")


def test_an_archive_of_absolute_names_says_so(tmp_path: Path) -> None:
    write_graph(tmp_path / "m")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path in (tmp_path / "m").rglob("*"):
            info = archive.gettarinfo(path)
            info.name = str(path)
            with path.open("rb") if path.is_file() else nullcontext() as stream:
                archive.addfile(info, stream)
    assert " leads outside of the archive; if you trust it, unpack it yourself" in refused(tmp_path / "a.tar")


def test_links_beside_the_model_are_left_out(tmp_path: Path) -> None:
    write_graph(tmp_path / "m")
    (tmp_path / "m/latest").symlink_to("/etc")
    tar("w:gz")(tmp_path / "m", tmp_path / "a")
    with open_folder(tmp_path / "a") as (folder, note):
        assert not (folder / "latest").exists()
        assert note == "left out links and special files: latest"


def test_of_two_entries_of_a_name_the_last_counts(tmp_path: Path) -> None:
    write_graph(tmp_path / "m")
    with tarfile.open(tmp_path / "a", "w") as archive:
        old = tarfile.TarInfo("saved_model.pb")
        old.size = 3
        archive.addfile(old, io.BytesIO(b"old"))
        archive.add(tmp_path / "m", ".")
    with open_folder(tmp_path / "a") as (folder, _):
        assert read_files(tmp_path / "a")[1] == (folder / "saved_model.pb").read_bytes() != b"old"


# What is no SavedModel ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("placeholder", "message"),
    [
        (POINTER, "it is a pointer of Git LFS to a file of 98,765 bytes"),
        (PAGE, "it is a web page ('Sign in | Kaggle')"),
    ],
)
@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("pack", [None, tar("w:gz"), zipped()])
def test_a_file_that_is_a_placeholder(
    pack: Callable[[Path, Path], None] | None, name: str, placeholder: bytes, message: str, tmp_path: Path
) -> None:
    (write_graph(tmp_path / "m") / name).write_bytes(placeholder)
    path = tmp_path / ("packed" if pack else "m")
    if pack:
        pack(tmp_path / "m", path)
    assert refused(path).startswith(f"{name}: {message}, not the model's file; ")


@pytest.mark.parametrize("pack", [None, tar("w:gz")])
def test_an_asset_may_be_a_web_page_but_no_pointer(pack: Callable[[Path, Path], None] | None, tmp_path: Path) -> None:
    folder, path = write_graph(tmp_path / "m"), tmp_path / ("packed" if pack else "m")
    (folder / "assets").mkdir()
    for content in (PAGE, POINTER):
        (folder / "assets/labels.txt").write_bytes(content)
        if pack:
            pack(folder, path)
        if content == PAGE:
            assert "assets/labels.txt" in opened(path)[0]
    assert refused(path).startswith("assets/labels.txt: it is a pointer of Git LFS")


def header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "it is a pointer of Git LFS to a file of 98,765 bytes, not a SavedModel; get the file: git lfs pull"),
        (PAGE, "it is a web page ('Sign in | Kaggle'), not a SavedModel; download it again, from the address of"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "it is a server's answer in XML (AccessDenied)"),
        (b'{"error":"Repository not found"}', 'it is a server\'s answer ({"error":"Repository not found"}), not'),
        (b"\x1c\0\0\0TFL3" + bytes(600), "it is a TensorFlow Lite model, not a SavedModel; get the SavedModel that"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "it is an HDF5 file, as Keras writes (.h5), not a SavedModel; export it"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x99", "it is an ONNX model, not a SavedModel; convert it"),
        (b"\n\x3c\n\x05input\x12\x0bPlaceholder*\x0b", "it is a frozen graph (GraphDef) of TensorFlow 1, not a"),
        (b"\x08\x01\x12\x99\x01\x0a", "it is the graph of a SavedModel without its folder, not a SavedModel; name"),
        (bytes(600) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "it is a TensorFlow checkpoint: weights alone, not a"),
        (header('{"a":{"dtype":"F32"}}'), "it is weights in safetensors, not a SavedModel; build the model in its own"),
        (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "it is weights of PyTorch, not a SavedModel"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.", "it is a Python pickle, not a SavedModel; do not load one of a stranger"),
        (b"\x81\xa6params\x82\xa5Dense\xc0", "it is weights of Flax (msgpack), not a SavedModel; build the model in"),
        (b'{"format":"layers-model","modelTopology":{}}', "it is a TensorFlow.js model, not a SavedModel"),
        (b"\x28\xb5\x2f\xfd1234", "it is a file packed with zstd, not a SavedModel; unpack it and name the folder"),
        (b"\x93NUMPY\x01", "it is an array of NumPy (.npy), not a SavedModel"),
        (b"", "the file is empty; expected a SavedModel: its folder"),
        (b"something else", "neither a folder nor an archive; expected a SavedModel: its folder"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["model.tar.gz", "model"])
def test_other_files_are_called_what_they_are(content: bytes, message: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).startswith(message)


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    return out.getvalue()


def zip_of(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps({}))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_of("metadata.json", "config.json", "model.weights.h5"), "it is a model of Keras 3, not a SavedModel; exp"),
        (npz(), "it is arrays in an .npz: weights alone, not a SavedModel"),
        (zip_of("archive/data.pkl", "archive/data/0"), "it is a PyTorch model or its weights, not a SavedModel"),
        (zip_of("a.txt", "b/c.txt"), "no saved_model.pb or saved_model.pbtxt in it, but a.txt, b/c.txt; expected a"),
        (zip_of(), "no saved_model.pb or saved_model.pbtxt in it, but nothing; expected a SavedModel"),
    ],
)
def test_other_archives_are_called_what_they_are(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(content)
    said = refused(tmp_path / "m.keras")
    assert said.startswith(message)
    assert "Keras" not in message or "keras.saving.load_model('m.keras').export('<folder>')" in said


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"config.json": b"{}", "model.safetensors": header("{}")},
            "no SavedModel in it, but model.safetensors, weigh",
        ),
        ({"checkpoint": b"", "a.ckpt-1.data-00000-of-00001": b"", "a.ckpt-1.index": b""}, "it is a TensorFlow checkp"),
        ({"_CHECKPOINT_METADATA": b"{}", "d/0.1": b""}, "it is an Orbax checkpoint: weights alone, not a SavedModel"),
        ({"model.json": b'{"modelTopology":{}}', "group1-shard1of1.bin": b"x"}, "no SavedModel in it, but model.json"),
        ({"model.tflite": b"\x1c\0\0\0TFL3"}, "no SavedModel in it, but model.tflite, a TensorFlow Lite model; get"),
        (
            {"saved_model (1).pb": b"\x08\x01\x12\x80", "variables.data-00000-of-00001": b""},
            "no SavedModel in it, but saved_model (1).pb, the graph of a SavedModel under another name; rename it",
        ),
        ({"docs/index.html": b"<!doctype html>", "m.tflite": b"\x1c\0\0\0TFL3"}, "no SavedModel in it, but m.tflite,"),
        (
            {"last failed": b'{"a": 1}', "b.html": b"<html>"},
            "no saved_model.pb or saved_model.pbtxt in it, but b.html,",
        ),
        ({"model.tar.gz": b"<html>"}, "no SavedModel in it, but model.tar.gz, a web page; download it again"),
        ({}, "no saved_model.pb or saved_model.pbtxt in it, but nothing; expected a SavedModel: its folder"),
    ],
)
def test_other_folders_are_called_what_they_are(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name, content in files.items():
        (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    assert refused(tmp_path / "model").startswith(message)


def test_a_frozen_graph_in_place_of_the_graph(tmp_path: Path) -> None:
    (write_graph(tmp_path / "m") / "saved_model.pb").write_bytes(b"\n\x3c\n\x05input\x12\x0bPlaceholder*\x0b")
    assert refused(tmp_path / "m").startswith("saved_model.pb: it is a frozen graph (GraphDef) of TensorFlow 1, not")


def test_a_name_of_nothing(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").startswith("no such file or folder; expected a SavedModel: its folder, a")


# Addresses ------------------------------------------------------------------------------------------------------------
def test_an_address_is_downloaded_once_and_named_in_messages(tmp_path: Path) -> None:
    tar("w:gz", "m")(write_graph(tmp_path / "m"), tmp_path / "1.tar.gz")
    (tmp_path / "2.tar.gz").write_bytes(PAGE)
    downloads = Downloads(tmp_path / "cache")
    with serving_folder(tmp_path) as address:
        name = f"{address}/1.tar.gz"
        # The same one twice, as where a module is compared with itself.
        with (
            open_model(name, "MODULE", downloads) as (first, note),
            open_model(name, "AGAINST", downloads) as (second, _),
        ):
            assert note == "the model is in m/"
            assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
        for number, message in ((2, r"it is a web page \('Sign in"), (3, r"cannot be downloaded \(HTTP 404")):
            name = f"{address}/{number}.tar.gz"
            with pytest.raises(Fault, match=rf"^{name}: {message}"), open_model(name, "MODULE", downloads):
                pass
    with open_model(f"{address}/1.tar.gz", "MODULE", Downloads(tmp_path / "cache", offline=True)) as (folder, _):
        assert (folder / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "http:/127.0.0.1/a",
            r"^MODULE=http:/127\.0\.0\.1/a: no address; expected http\(s\)://<host>/<path>, with two",
        ),
        ("odd://module", r"^MODULE: 'odd://module' has the unknown scheme 'odd'"),
        ("http://me:secret@127.0.0.1:9/a", r"^http://127\.0\.0\.1:9/a: cannot be downloaded \("),
    ],
)
def test_addresses_that_lead_nowhere(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=message), local_copy(name, "MODULE", Downloads(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, r"\(HTTP 401 .*\); put a user name and a password into the address or ~/\.netrc, correct them, or sign"),
        (403, r"\(HTTP 403 .*\); put a user name and a password into the address or ~/\.netrc, correct them, or sign"),
        (404, r"\(HTTP 404 .*\); check the address: expected that of an archive, or of a module that a hub serves$"),
        (400, r"\(HTTP 400 .*\)$"),
    ],
)
def test_a_refused_download_says_what_helps(code: int, message: str, tmp_path: Path) -> None:
    with (
        faulty(b"", status(code)) as server,
        pytest.raises(Fault, match=message),
        local_copy(server.url(), "MODULE", Downloads(tmp_path)),
    ):
        pass


def test_a_download_that_is_not_cached_says_what_helps(tmp_path: Path) -> None:
    downloads, message = Downloads(tmp_path, offline=True), r"does not have it\); run it once without OFFLINE=1$"
    with pytest.raises(Fault, match=message), local_copy("http://127.0.0.1:9/a", "MODULE", downloads):
        pass


def test_a_module_of_a_hub_is_opened_by_its_address(tmp_path: Path) -> None:
    """As tensorflow_hub loads it, from the server of this project."""
    (tmp_path / "hub/tester/vit").mkdir(parents=True)
    tar("w:gz")(write_graph(tmp_path / "m"), tmp_path / "hub/tester/vit/1.tar.gz")
    write_index(tmp_path / "hub", "tester/vit/1")
    downloads = Downloads(tmp_path / "cache")
    with running(tmp_path / "hub") as here:
        for name in ("tester/vit/1", "tester/vit", "tester/vit/1.tar.gz"):
            with open_model(f"{here.address}/{name}", "MODULE", downloads) as (folder, _):
                assert (folder / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("https://a/hub/vit/1", "https://a/hub/vit/1?tf-hub-format=compressed"),
        ("https://a/mobilenet_v2_1.0_224", "https://a/mobilenet_v2_1.0_224?tf-hub-format=compressed"),
        ("https://a/vit/1.tar.gz", "https://a/vit/1.tar.gz"),
        ("https://a/vit/1?token=b", "https://a/vit/1?token=b"),
        ("gs://a/vit/1", "gs://a/vit/1"),
    ],
)
def test_a_hub_is_asked_for_a_modules_archive(name: str, asked: str) -> None:
    assert remote.file_address(name) == asked


def test_a_local_address_and_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("~/m", f"file://{tmp_path}/m", f"{tmp_path}/m"):
        with local_copy(name, "MODULE", Downloads(tmp_path)) as path:
            assert path == tmp_path / "m"
