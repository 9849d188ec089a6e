"""published: another model under a published version is refused before the long stages, an unchanged one never."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.provenance import Origin
from pipeline.facts.collection import collection_of
from pipeline.facts.report import load_report
from pipeline.publish import Outputs, publish_member
from pipeline.published import find_changes
from pipeline.trust.builder import write_build
from tests.conftest import Stage, assert_refused
from tests.test_publish import MODULE, write_member
from tests.trust.builds import BUILD, build_of

ORIGIN = Origin(
    "mini.npz", str(BUILD.checkpoint["sha256"]), str(BUILD.checkpoint["arrays_sha256"]), Verification.UNVERIFIED
)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """The outputs of `mini`, which are published in tmp_path/hub."""
    folder = write_member(tmp_path / "artifacts/mini")
    provenance.write(folder / "checkpoint.npz", ORIGIN)
    write_build(folder, build_of(folder))
    collection = replace(collection_of(tiny / "mini.yaml", None)[0], images_license="MIT")
    report = load_report(folder / "report.json")
    outputs = Outputs("mini", MODULE, collection, folder, report, build_of(folder))
    publish_member(outputs, tmp_path / "hub", folder / "published.json")
    return folder


def changes(tiny: Path, folder: Path, is_converted: bool = True) -> list[str]:
    return list(find_changes(tiny / "mini.yaml", folder, folder.parents[1] / "hub", is_converted))


def edit_build(folder: Path) -> None:
    build = build_of(folder)
    write_build(folder, dataclasses.replace(build, contents=build.contents | {"fe": "0" * 64}))


def test_an_unchanged_member_passes(tiny: Path, folder: Path) -> None:
    assert changes(tiny, folder) == changes(tiny, folder, is_converted=False) == []
    verified = dataclasses.replace(ORIGIN, verification=Verification.PINNED)  # no byte of a module follows from this
    provenance.write(folder / "checkpoint.npz", verified)
    assert changes(tiny, folder) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrays_sha256": "0" * 64, "sha256": "1" * 64}, "with other weights: arrays_sha256 dddd"),
        ({"sha256": "1" * 64}, "from another checkpoint file or source: sha256 cccc"),
        ({"source": "gs://bucket/mini.npz"}, "source: source mini.npz there, gs://bucket/mini.npz here"),
        ({"converted_from": "timm"}, "source: converted_from None there, timm here"),
    ],
)
def test_another_checkpoint_is_refused_after_fetch(
    tiny: Path, folder: Path, change: dict[str, str], message: str
) -> None:
    provenance.write(folder / "checkpoint.npz", dataclasses.replace(ORIGIN, **change))  # type: ignore[arg-type]
    found = changes(tiny, folder, is_converted=False)
    assert len(found) == 2
    assert message in found[1]
    assert found[1].startswith(f"{tiny}/mini.yaml: tester/mini_fe/1 is already published ")
    assert found[1].endswith("; published versions never change, so raise module.version to publish this one")


def test_another_computation_is_refused_after_convert(tiny: Path, folder: Path, stage: Stage) -> None:
    edit_build(folder)
    (found,) = changes(tiny, folder)
    assert "tester/mini_fe/1 is already published with another computation" in found
    # Before convert, build.json is of another time: the code may have been set right meanwhile.
    assert changes(tiny, folder, is_converted=False) == []
    done = stage("published", tiny / "mini.yaml", folder, folder.parents[1] / "hub", "--converted")
    assert_refused(done, "published: ", "raise module.version")


def test_a_new_version_passes(tiny: Path, folder: Path) -> None:
    edit_build(folder)
    member = tiny / "mini.yaml"
    member.write_text(member.read_text().replace("version: 1", "version: 2"))
    assert changes(tiny, folder) == []


def test_where_the_hub_has_nothing_nothing_is_compared(tiny: Path, folder: Path, tmp_path: Path) -> None:
    edit_build(folder)
    assert list(find_changes(tiny / "mini.yaml", folder, tmp_path / "none", is_converted=True)) == []
    for path in (folder.parents[1] / "hub").rglob("*.json"):  # a publisher who was killed before the index
        if not path.name.startswith("provenance"):
            path.unlink()
    assert changes(tiny, folder) == []


def test_nothing_fetched_yet_is_no_change(tiny: Path, folder: Path) -> None:
    provenance.path_of(folder / "checkpoint.npz").unlink()
    assert changes(tiny, folder) == []
