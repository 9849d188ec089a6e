"""fetch against real folders and HTTP servers: the order of sources, and files that cannot be used."""

from pathlib import Path

import pytest

from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import provenance
from pipeline.checkpoints.section import Checkpoint
from tests.conftest import ROOT, serving_folder
from tests.faulty_server import faulty
from tests.fetch.fetching import archive, refuse, run
from tests.timm_copies import TIMM_COPIES_OF_THE_SEVEN


def test_a_relative_path_starts_at_the_yaml_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    assert run(Checkpoint("a", ("{name}.npz",)), tmp_path, out) == str(tmp_path / "a.npz")
    assert out.read_bytes() == archive()


def test_a_file_url_may_have_spaces(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a b.npz").write_bytes(archive())
    run(Checkpoint("a", ((tmp_path / "a b.npz").as_uri(),)), tmp_path, out)
    assert out.read_bytes() == archive()
    assert provenance.read(out).source == "a b.npz"


def test_the_users_folder_is_tried_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.npz").write_bytes(archive(2))
    run(Checkpoint("a", ("a.npz",)), tmp_path, out, str(tmp_path / "mine"))
    assert out.read_bytes() == archive(2)


def test_the_users_address_is_tried_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(1))
    with faulty(archive(2)) as server:
        run(Checkpoint("a", ("a.npz",)), tmp_path, out, f"{server.address}/folder/")
    assert server.requests[0].path == "/folder/a.npz"
    assert out.read_bytes() == archive(2)


def test_the_users_address_may_be_signed_as_a_folder(tmp_path: Path, out: Path) -> None:
    """As a container of Azure is; the file's name belongs before the query."""
    with faulty(archive()) as server:
        run(Checkpoint("a", ()), tmp_path, out, f"{server.address}/folder/?sv=1&sig=a/b")
    assert server.requests[0].path == "/folder/a.npz?sv=1&sig=a/b"


def test_the_next_source_is_tried_when_one_lacks_the_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    with serving_folder(tmp_path) as address:
        checkpoint = Checkpoint("a", ("missing.npz", f"{address}/{{name}}.npz"))
        assert run(checkpoint, tmp_path, out) == f"{address}/a.npz"
    assert out.read_bytes() == archive()


def test_an_unknown_scheme_in_checkpoints_is_refused(tmp_path: Path, out: Path) -> None:
    message = refuse(Checkpoint("a", ("a.npz",)), tmp_path, out, "ftp://host/augreg")
    assert "CHECKPOINTS: 'ftp://host/augreg/a.npz' has the unknown scheme 'ftp'" in message


def test_checkpoints_may_begin_with_a_tilde(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell does not expand it in `make CHECKPOINTS=~/augreg`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "augreg").mkdir()
    (tmp_path / "augreg/a.npz").write_bytes(archive())
    run(Checkpoint("a", ()), tmp_path, out, "~/augreg")
    assert out.read_bytes() == archive()


def test_the_seven_name_the_bucket_and_timms_copies() -> None:
    """Five of the seven have a copy, by timm's table of configurations."""
    copies = {}
    for path in sorted((ROOT / "model_cards/vit").glob("vit_*.yaml")):
        first, *others = Member(path).section("checkpoint", Checkpoint).sources
        assert first == "gs://vit_models/augreg/{name}.npz"
        copies[path.stem] = others
    assert copies == TIMM_COPIES_OF_THE_SEVEN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive()[:-30], "not a whole .npz file"),
        (b"", "it is empty, expected an .npz, safetensors or msgpack file or a folder of Orbax with the"),
        (b"<html>Sign in</html>", "it is an HTML page, such as a login or an error, expected an .npz, safetensors"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "it is a Git LFS pointer, not the file",
        ),
        (b"\x81\xa6params\x81\xa3cls", "not a whole msgpack file (it ends within a value)"),
        (b"\x80\x02}q\x00.", "it is a Python pickle, such as PyTorch's .pth and .bin files, which could run code"),
    ],
)
def test_a_file_that_is_no_whole_archive_is_refused(tmp_path: Path, out: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert f"{tmp_path}/a.npz: {message}" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_the_kind_of_a_file_is_told_by_its_content(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(archive())
    run(Checkpoint("a", ("a.safetensors",)), tmp_path, out)
    assert out.read_bytes() == archive()
    (tmp_path / "a.npz").mkdir()
    (tmp_path / "a.npz/_METADATA").touch()
    assert "a.npz: not a whole Orbax file (its _METADATA is none" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


@pytest.mark.parametrize("compress", [False, True])
def test_a_damaged_array_is_refused(tmp_path: Path, out: Path, compress: bool) -> None:
    content = bytearray(archive(compress=compress))
    content[20_000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert "the array 'a' is damaged" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)
