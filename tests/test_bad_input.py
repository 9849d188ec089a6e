"""Commands given bad input: one clear sentence, status 1, earlier outputs as they were, nothing half written."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.saved_model.files import folder_digest, tarball_digest
from tests.conftest import Stage, assert_refused, make


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(published: Path, tmp_path: Path) -> Path:
    """A member's folder with the outputs of an earlier run."""
    shutil.copytree(published / "artifacts/mini", tmp_path / "artifacts/mini")
    return tmp_path / "artifacts/mini"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ("variant: Mini/8", "varient: Mini/8"),
            "mini.yaml:6: unknown key 'varient' in model (did you mean 'variant'?)",
        ),
        (("classes: 3", "classes: three"), "mini.yaml:8: model.classes must be a whole number, got 'three' (str)"),
        (("variant: Mini/8", "variant: Ti/8"), "does not fit variant Ti/8 with 16 pixels and 3 classes"),
        (("labels: labels.tsv", "labels: lables.tsv"), "lables.tsv: the label file does not exist"),
    ],
)
def test_convert_refuses_a_wrong_member(
    tiny: Path, mini_checkpoint: Path, out: Path, stage: Stage, edit: tuple[str, str], message: str
) -> None:
    path = tiny / "mini.yaml"
    path.write_text(path.read_text().replace(*edit))
    before = contents(out)
    done = stage("convert", path, mini_checkpoint, out)
    assert_refused(done, message)
    assert contents(out) == before


def damage_pickle(arrays: dict[str, np.ndarray]) -> None:
    arrays["cls"] = np.array([{}], dtype=object)


def damage_nan(arrays: dict[str, np.ndarray]) -> None:
    arrays["cls"][0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [(damage_pickle, "the array 'cls' is a pickle"), (damage_nan, "1 of 64 values of 'cls' are NaN")],
)
def test_convert_refuses_a_wrong_checkpoint(
    tiny: Path, mini_checkpoint: Path, out: Path, stage: Stage, damage: object, message: str
) -> None:
    with np.load(mini_checkpoint) as archive:
        arrays = dict(archive)
    damage(arrays)  # type: ignore[operator]
    np.savez(mini_checkpoint, **arrays)
    before = contents(out)
    assert_refused(stage("convert", tiny / "mini.yaml", mini_checkpoint, out), f"{mini_checkpoint}: {message}")
    assert contents(out) == before


def test_fetch_reports_a_missing_checkpoint(tiny: Path, out: Path, stage: Stage) -> None:
    before = contents(out)
    done = stage("fetch", tiny / "mini.yaml", out / "checkpoint.npz", "--checkpoints", tiny / "none")
    assert_refused(done, "no source has the checkpoint mini.npz", f"{tiny}/none/mini.npz: no such file")
    assert contents(out) == before


def test_publish_refuses_other_bytes_of_a_published_version(
    tiny: Path, out: Path, published: Path, tmp_path: Path, stage: Stage
) -> None:
    hub = tmp_path / "hub"
    done = stage("publish", "member", tiny / "mini.yaml", out, hub, out / "published.json")
    assert done.returncode == 0, done.stderr
    before = contents(hub)
    (out / "fe/assets.extra/note").write_text("another model")
    assert stage("package", out / "fe", out / "fe.tar.gz").returncode == 0
    report = json.loads((out / "report.json").read_text())
    report["modules"]["fe"]["content_sha256"] = folder_digest(out / "fe")
    (out / "report.json").write_text(json.dumps(report))
    done = stage("publish", "member", tiny / "mini.yaml", out, hub, out / "published.json")
    assert_refused(done, "mini_fe/1.tar.gz: this version is already published with other bytes", "raise module.version")
    assert contents(hub) == before


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB, too small for any of the outputs."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("mini_checkpoint")
def test_a_full_disk_leaves_nothing_half_written(tiny: Path, out: Path, full_disk: Path, stage: Stage) -> None:
    checkpoint, member = out / "checkpoint.npz", tiny / "mini.yaml"
    member.write_text(member.read_text().replace("variant: Mini/8", "variant: Nano/8"))  # as the published one
    (full_disk / "filler").write_bytes(bytes(180_000))  # the small model would fit
    commands: dict[str, tuple] = {
        "fetch": (member, full_disk / "checkpoint.npz"),
        "convert": (member, checkpoint, full_disk),
        "package": (out / "classification", full_disk / "classification.tar.gz"),
        "publish": ("member", member, out, full_disk, out / "published.json"),
    }
    for name, arguments in commands.items():
        assert_refused(stage(name, *arguments), f"{name}: cannot use {full_disk}", "the disk is full; free some space")
        left = [
            path
            for path in full_disk.rglob("*")
            if path.is_file() and path.name not in (".lock", ".clean", "index.json", "filler")
        ]
        assert not left, name
    # An earlier output survives a later failure.
    (full_disk / "classification.tar.gz").write_bytes(b"earlier")
    assert_refused(stage("package", *commands["package"]), "the disk is full")
    assert (full_disk / "classification.tar.gz").read_bytes() == b"earlier"


def test_a_full_disk_is_named_by_make_too(tree: Path, full_disk: Path) -> None:
    (full_disk / "filler").write_bytes(bytes(195_000))
    done = make(tree, "publish", "MODEL=mini", f"ARTIFACTS={full_disk}/artifacts")
    assert done.returncode == 2
    assert f"cannot use {full_disk}" in done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_in_place_of_the_hub_is_named(tiny: Path, out: Path, tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "hub").write_text("")
    for hub in (tmp_path / "hub", tmp_path / "hub/below"):
        done = stage("publish", "member", tiny / "mini.yaml", out, hub, out / "published.json")
        assert_refused(done, f"publish: cannot use {hub}", "a file stands where a folder is needed")


def test_a_link_to_nothing_in_place_of_the_hub_is_named(tiny: Path, out: Path, tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "hub").symlink_to("unmounted")
    done = stage("publish", "member", tiny / "mini.yaml", out, tmp_path / "hub", out / "published.json")
    assert_refused(
        done, f"publish: cannot use {tmp_path}/hub: it is a link to nothing: there is no unmounted; make that"
    )


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written to: a read-only mount for root, whom permissions don't stop."""
    folder = tmp_path / "hub"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("root cannot mount a read-only file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_read_only_hub_is_named(tiny: Path, out: Path, read_only: Path, stage: Stage) -> None:
    (out / "published.json").unlink()
    done = stage("publish", "member", tiny / "mini.yaml", out, read_only, out / "published.json")
    assert_refused(done, f"publish: cannot use {read_only}")
    assert "read-only" in done.stderr or "permission denied" in done.stderr
    assert not (out / "published.json").exists()


def test_the_outputs_above_are_real(out: Path) -> None:
    """The fixture `out` has the outputs of a published member."""
    assert tarball_digest(out / "fe.tar.gz") == folder_digest(out / "fe")
