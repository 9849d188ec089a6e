"""The settings that stamps refuses before any stage works."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.dag.settings import Settings, check_collections, check_environment, is_one_edit_away

NAMES = (
    *("IMAGENET", "REQUIRE_ACCURACY", "CHECKPOINTS", "CHECKPOINT", "MODEL"),
    *("HUB_URL", "SAMPLES", "ARTIFACTS", "COLLECTION"),
)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("checkpoints", "/nonexistent", "CHECKPOINTS=/nonexistent: no such folder; expected a folder or URL"),
        ("checkpoints", "https:/me:secret@host", "CHECKPOINTS=https:/host: no such folder"),
        ("imagenet", "/nonexistent", "IMAGENET=/nonexistent: no such folder or file; expected labelled images"),
        ("real", "/tmp", "REAL=/tmp: no such file; expected the ReaL labels"),
        ("samples", "0", "SAMPLES=0: expected a whole number from 1"),
        ("samples", "1e3", "SAMPLES=1e3: expected a whole number from 1"),
        ("split", "all", "SPLIT=all: expected train, validation, test"),
        ("hub", "https://me:secret@host/hub", "HUB=https://host/hub: cannot publish to a URL yet; expected a folder"),
    ],
)
def test_what_no_stage_can_use_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(Fault) as raised:
        replace(Settings(), **{name: value}).check()
    assert str(raised.value).startswith(message)


def test_usable_settings_pass(tmp_path: Path) -> None:
    (tmp_path / "real.json").touch()
    Settings(str(tmp_path), "lock", str(tmp_path), str(tmp_path / "real.json"), "12", f"file://{tmp_path}").check()
    Settings(checkpoints="https://host/checkpoints", hub=str(tmp_path / "new")).check()


@pytest.mark.parametrize("name", ["IMAGNET", "IMAGEENT", "IMAGENET1", "REQUIRE_ACURACY", "REQIURE_ACCURACY", "HUB_URI"])
def test_a_misspelt_setting_in_the_environment_is_refused(name: str) -> None:
    message = rf"^{name}: unknown setting in the environment \(did you mean '[A-Z_]+'\?\).* env -u {name} make"
    with pytest.raises(Fault, match=message):
        check_environment({"PATH": "/bin", name: "1"}, NAMES)


@pytest.mark.parametrize("name", ["IMAGENET", "CHECKPOINT", "CHECKPOINTS", "MODELS", "IMAGE", "HUB", "imagenet"])
def test_other_names_in_the_environment_pass(name: str) -> None:
    check_environment({name: "1"}, NAMES)
    check_environment({"IMAGNET": ""}, NAMES)


@pytest.mark.parametrize("name", ["SAMPLE", "ARTIFACT", "COLLECTIONS", "IMAGENETS"])
def test_a_plural_or_singular_of_a_setting_belongs_to_another_program(name: str) -> None:
    check_environment({name: "1"}, NAMES)


@pytest.mark.parametrize(
    ("name", "other", "near"),
    [("ab", "abc", True), ("abc", "axc", True), ("abc", "acb", True), ("abc", "abc", False), ("abc", "cba", False),
     ("abcd", "badc", False), ("abc", "abcde", False), ("abc", "xyc", False)],
)  # fmt: skip
def test_one_edit(name: str, other: str, near: bool) -> None:
    assert is_one_edit_away(name, other) is near
    assert is_one_edit_away(other, name) is near


def test_members_of_one_name_and_folders_without_facts_are_refused(tmp_path: Path) -> None:
    for name in ("one/a.yaml", "one/collection.yaml", "two/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    check_collections([tmp_path / "one/a.yaml"])
    with pytest.raises(Fault, match=r"needs a collection\.yaml; it is missing in .*/two$"):
        check_collections([tmp_path / "one/a.yaml", tmp_path / "two/b.yaml"])
    with pytest.raises(Fault, match=r"^two members have the same name, .*/one/a\.yaml .*/two/a\.yaml$"):
        check_collections([tmp_path / "one/a.yaml", tmp_path / "two/a.yaml"])


@pytest.mark.parametrize("name", ["collection-one", "Collection-two"])
def test_a_member_named_like_the_records_of_a_collection_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/collection.yaml").touch()
    check_collections([tmp_path / "one/collection_one.yaml"])
    with pytest.raises(Fault, match=rf"/one/{name}\.yaml: .* begin with collection-, as the records of a collection"):
        check_collections([tmp_path / f"one/{name}.yaml"])
