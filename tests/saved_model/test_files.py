"""The files of a model in a folder or a tarball, their order, and damaged ones."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from google.protobuf import text_format

from pipeline.base.fault import Fault
from pipeline.package import package
from pipeline.saved_model import graph
from pipeline.saved_model.faults import find_faults, find_publication_faults
from pipeline.saved_model.files import folder_digest, model_digest
from pipeline.saved_model.inspection import inspect_saved_model
from tests.saved_model.models import faults_of, publication_faults_of

pytestmark = pytest.mark.slow


def pack(folder: Path, out: Path, names: Iterable[str], *more: tarfile.TarInfo) -> Path:
    """Packs entries of a folder in the order given, then further headers without content."""
    with tarfile.open(out, "w:gz") as archive:
        for name in names:
            archive.add(folder / name, name, recursive=False)
        for entry in more:
            archive.addfile(entry, io.BytesIO())
    return out


def header(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return entry


ASSETS = header("assets", tarfile.DIRTYPE)
VARIABLES = ("variables", "variables/variables.index", "variables/variables.data-00000-of-00001")


@pytest.mark.parametrize(
    ("names", "more", "kind", "message"),
    [
        (("saved_model.pb", *VARIABLES), (), "order", "the last entry is variables/variables.data-00000-of-00001;"),
        ((*VARIABLES[1:], "saved_model.pb"), (), "order", "no folder entry comes before variables/variables.index, "),
        ((*VARIABLES, "saved_model.pb", "saved_model.pb"), (), "files", "come more than once: saved_model.pb"),
        ((), (ASSETS, header("assets/a", tarfile.SYMTYPE)), "files", "got links or special files: assets/a"),
        ((), (ASSETS, header("assets/a", tarfile.LNKTYPE)), "files", "got links or special files: assets/a"),
        ((), (ASSETS, header("assets/a", tarfile.FIFOTYPE)), "files", "got links or special files: assets/a"),
        ((), (header("notes.txt"), header("debug", tarfile.DIRTYPE)), "files", "got notes.txt, debug; publish a"),
    ],
)  # fmt: skip
def test_rules_for_a_published_tarball(
    ours: Path, tmp_path: Path, names: tuple[str, ...], more: tuple[tarfile.TarInfo, ...], kind: str, message: str
) -> None:
    path = pack(ours, tmp_path / "m.tar.gz", names or (*VARIABLES, "saved_model.pb"), *more)
    assert faults_of(path) == {}
    findings = [
        finding
        for finding in find_publication_faults(inspect_saved_model(path))
        if not (names == () and finding.kind == "order")
    ]
    assert [finding.kind for finding in findings] == [kind]
    assert message in findings[0].text


@pytest.mark.parametrize("name", ["assets/../../evil", "/evil"])
def test_a_tarball_that_would_write_elsewhere(ours: Path, tmp_path: Path, name: str) -> None:
    path = pack(ours, tmp_path / "m.tar.gz", (*VARIABLES, "saved_model.pb"), header(name))
    (finding,) = find_faults(inspect_saved_model(path))
    assert finding.kind == "files"
    assert f"expected names below the model's folder, got {name}; do not unpack it" in finding.text


def test_tarballs_without_faults(ours: Path, tmp_path: Path) -> None:
    package(ours, tmp_path / "m.tar.gz")
    assert publication_faults_of(tmp_path / "m.tar.gz") == {}
    names = [".", *(f"./{name}" for name in (*VARIABLES, "saved_model.pb"))]
    assert publication_faults_of(pack(ours, tmp_path / "dotted.tar.gz", names)) == {}


def test_a_tarball_with_the_folder_itself(ours: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.tar.gz"
    pack(tmp_path, path, ["ours", *(f"ours/{name}" for name in (*VARIABLES, "saved_model.pb"))])
    assert faults_of(path) == {}
    faults = publication_faults_of(path)
    assert set(faults) == {"files"}
    assert "saved_model.pb lies in ours/; expected it at the archive's root" in faults["files"]


def test_links_are_no_faults_of_a_folder(ours: Path, tmp_path: Path) -> None:
    """As in the cache of huggingface_hub, where every file is a link."""
    for name in (*VARIABLES[1:], "saved_model.pb"):
        (ours / name).rename(tmp_path / Path(name).name)
        (ours / name).symlink_to(tmp_path / Path(name).name)
    assert faults_of(ours) == {}
    assert "got links or special files: saved_model.pb" in publication_faults_of(ours)["files"]


STRANGE = ("README.md", ".gitattributes", ".DS_Store", ".git/HEAD", ".git/refs/heads/main", "__MACOSX/._saved_model.pb")


@pytest.mark.parametrize("names", [("keras_metadata.pb",), ("tfhub_module.pb",), STRANGE])
def test_other_files_beside_a_model_are_no_faults(ours: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_bytes(b"")
    assert faults_of(ours) == {}
    found = publication_faults_of(ours)
    assert set(found) == {"files"}
    assert (
        f"got {', '.join(sorted({name.partition('/')[0] for name in names}))}; publish a copy without them"
        in (found["files"])
    )
    assert "remove" not in found["files"]


def test_the_digest_of_a_model_leaves_out_what_lies_beside_it(ours: Path) -> None:
    digest = folder_digest(ours)
    for name in STRANGE:
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_bytes(b"")
    assert model_digest(ours) == digest
    (ours / "keras_metadata.pb").write_bytes(b"")
    assert model_digest(ours) != digest
    with pytest.raises(Fault, match=r"\.git: no saved_model\.pb or saved_model\.pbtxt in this folder"):
        model_digest(ours / ".git")


def test_a_model_in_text_form_is_read(ours: Path) -> None:
    before = inspect_saved_model(ours)
    (ours / "saved_model.pbtxt").write_text("ignored beside saved_model.pb")
    assert inspect_saved_model(ours).files.graph == "saved_model.pb"
    content = graph.parse((ours / "saved_model.pb").read_bytes(), ours)
    (ours / "saved_model.pbtxt").write_text(text_format.MessageToString(content))
    (ours / "saved_model.pb").unlink()
    model = inspect_saved_model(ours)
    assert (model.signatures, model.variables, model.files.graph) == (
        before.signatures,
        before.variables,
        "saved_model.pbtxt",
    )
    assert faults_of(ours) == {}
    assert "has the content of saved_model.pbtxt as saved_model.pb" in publication_faults_of(ours)["files"]
    (ours / "saved_model.pbtxt").write_text("meta_graphs { no_such_field: 1 }")
    with pytest.raises(
        Fault, match=r"its saved_model\.pbtxt \([\d,]+ bytes\) is cut short, damaged or not a SavedModel"
    ):
        inspect_saved_model(ours)


# Damaged models -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", b"\x08\x01", b"not a protobuf", bytes(1000), b"\x00\xff" * 500])
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(Fault, match=r"its saved_model\.pb \([\d,]+ bytes\) is cut short, damaged or not a SavedModel"):
        inspect_saved_model(tmp_path)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_cut_saved_model_is_refused(ours: Path, part: float) -> None:
    content = (ours / "saved_model.pb").read_bytes()
    (ours / "saved_model.pb").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(Fault, match="is cut short, damaged"):
        inspect_saved_model(ours)


@pytest.mark.parametrize("cut", [10, 300])
def test_a_cut_tarball_is_refused(ours: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.tar.gz"
    package(ours, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Fault, match=r"not a whole \.tar\.gz"):
        inspect_saved_model(path)
