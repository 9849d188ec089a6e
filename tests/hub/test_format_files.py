"""The further formats of a version: published with it or later, and never changed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.base.stored_names import plain_path
from pipeline.dag.receipts import is_incomplete
from pipeline.facts.report import load_report
from pipeline.hub.folder import read_index
from pipeline.hub.trial import find_trial
from tests import test_publish
from tests.format_outputs import write_file, write_formats, write_trial
from tests.reports import PICTURE, with_measured, write_report
from tests.test_publish import files, publish, write_member

HANDLE = "tester/mini_classification/1"


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return write_member(tmp_path / "artifacts/mini")


@pytest.fixture
def new_hub(tmp_path: Path) -> Path:
    return tmp_path / "published"


def listed(hub: Path, handle: str = HANDLE) -> list[str]:
    """Returns the files of a version by the names that follow its handle, but for pictures and the report."""
    names = [file.page.removeprefix(f"{handle}/") for file in read_index(hub).modules[handle].files]
    return [name for name in names if name != "report.json" and not name.startswith("examples/")]


def test_formats_are_published_with_the_module(member: Path, new_hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reason = "top-1 accuracy 0.1 below the module's"
    write_formats(member, left_out={"onnx-int8": reason})
    receipt = publish(member, new_hub)
    assert listed(new_hub)[2:] == [
        "plain.tar.gz", "model.tflite", "model_int8.tflite", "onnx/model.onnx", "config.json",
        "preprocessor_config.json",
    ]  # fmt: skip
    entry = receipt["published"][HANDLE]
    assert list(entry["formats"]) == ["litert", "litert-int8", "onnx", "plain"]
    assert entry["formats"]["litert"] == {
        "files": [f"{HANDLE}/model.tflite"], "precision": "float32", "runtime": "LiteRT", "max_rel": 1.5e-6,
        "images": 1000, "of": "the Fashion-MNIST test set", "cosine": 0.99952, "same_class": 0.997, "top1": 0.9185,
        "images_per_second": 901.4,
    }  # fmt: skip
    assert "max_rel" not in entry["formats"]["litert-int8"]
    assert "top1" not in receipt["published"]["tester/mini_fe/1"]["formats"]["litert"]
    for file in read_index(new_hub).modules[HANDLE].format_files.values():
        published = new_hub / file.path
        assert (published.stat().st_size, sha256_of(published)) == (file.size, file.sha256)
        assert published.stat().st_mode & 0o777 == 0o444
        assert published.samefile(member / "formats/classification" / file.path.removeprefix(f"{HANDLE}/"))
    printed = capsys.readouterr().out
    assert f"as plain, litert, litert-int8, onnx in {new_hub / HANDLE}\n" in printed
    assert f"{HANDLE}: onnx-int8 is left out: {reason}\n" in printed


def test_formats_may_come_later_and_stay(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    write_formats(member, ("litert",))
    publish(member, new_hub)
    write_formats(member, ("onnx",))
    publish(member, new_hub)
    assert listed(new_hub)[2:] == ["onnx/model.onnx", "config.json", "preprocessor_config.json", "model.tflite"]
    assert [published.name for published in read_index(new_hub).modules[HANDLE].formats] == ["litert", "onnx"]
    assert (new_hub / HANDLE / "model.tflite").is_file()
    (member / "formats.json").unlink()
    (member / "fe.md").write_text("# Module fe, corrected\n")
    publish(member, new_hub)
    assert len(read_index(new_hub).modules["tester/mini_fe/1"].formats) == 2


def test_a_published_format_that_fails_its_checks_by_now_is_not_hidden(member: Path, new_hub: Path) -> None:
    write_formats(member)
    publish(member, new_hub)
    write_formats(member, ("plain", "litert", "onnx"), left_out={"litert-int8": "same class 0.97 (at least 0.995)"})
    message = f"{HANDLE}: it is published as litert-int8, which would be left out now: same class 0.97 .* raise module"
    with pytest.raises(Fault, match=message):
        publish(member, new_hub)
    write_formats(member, ("plain", "litert", "onnx"))  # whoever names others keeps it
    publish(member, new_hub)
    assert "model_int8.tflite" in listed(new_hub)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [("the Fashion-MNIST test set", "a set\\n", "of is 'a set"), ("0.99952", "NaN", "Out of range float values")],
)
def test_what_no_index_can_say_is_refused(member: Path, new_hub: Path, old: str, new: str, reason: str) -> None:
    """Such an index would be the end of every command on the hub."""
    write_formats(member)
    text = (member / "formats.json").read_text()
    assert old in text
    (member / "formats.json").write_text(text.replace(old, new))
    with pytest.raises(Fault, match=f"{HANDLE}: the index cannot say what was made of it .*{reason}"):
        publish(member, new_hub)
    write_formats(member)
    publish(member, new_hub)


def test_a_published_format_never_changes(member: Path, new_hub: Path) -> None:
    write_formats(member)
    publish(member, new_hub)
    before = files(new_hub)
    write_formats(member, contents={"model.tflite": b"other weights"})
    reason = r"model\.tflite: this version is already published with other bytes: .* so raise module\.version"
    with pytest.raises(Fault, match=reason):
        publish(member, new_hub)
    assert files(new_hub) == before
    write_formats(member)
    publish(member, new_hub)
    assert files(new_hub) == before
    write_file(new_hub / HANDLE / "model.tflite", b"damaged")
    with pytest.raises(Fault, match=r"model\.tflite: damaged in the hub"):
        publish(member, new_hub)


def test_a_format_that_no_index_lists_is_replaced(member: Path, new_hub: Path) -> None:
    """A publish was stopped before it wrote the index, and the format was made again."""
    publish(member, new_hub)
    orphan = new_hub / HANDLE / "onnx/model.onnx"
    write_file(orphan, b"of an earlier build")
    publish(member, new_hub)
    assert orphan.read_bytes() == b"of an earlier build"
    write_formats(member)
    publish(member, new_hub)
    assert orphan.read_bytes() == b'"classification onnx/model.onnx"'


def remove(member: Path) -> None:
    (member / "formats/fe/onnx/model.onnx").unlink()


def edit(member: Path) -> None:
    write_file(member / "formats/fe/onnx/model.onnx", b"edited")


def convert_again(member: Path) -> None:
    formats = (member / "formats.json").read_text()
    write_member(member, b"another graph")
    (member / "formats.json").write_text(formats)


def rename(member: Path) -> None:
    text = (member / "formats.json").read_text()
    (member / "formats.json").write_text(text.replace("onnx/model.onnx", "../2.tar.gz"))


def disagree(member: Path) -> None:
    write_formats(member, ("onnx", "onnx-int8"))
    formats = json.loads((member / "formats.json").read_text())
    formats["modules"]["fe"][1]["files"][1]["sha256"] = "0" * 64
    (member / "formats.json").write_text(json.dumps(formats))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove, r"fe/onnx/model\.onnx: no such file, but formats\.json names it; delete formats\.json and run make"),
        (edit, r"fe/onnx/model\.onnx: sha256 \w+, formats\.json says \w+; delete formats\.json and run make formats"),
        (convert_again, "made from another model than was validated: .*; run make formats again"),
        (rename, r"'\.\./2\.tar\.gz' is no name of a format's file in a hub"),
        (disagree, r"two formats have other bytes for config\.json"),
    ],
)
def test_formats_that_are_not_what_was_measured_are_refused(
    member: Path, new_hub: Path, damage: Callable[[Path], None], reason: str
) -> None:
    write_formats(member)
    damage(member)
    with pytest.raises(Fault, match=reason):
        publish(member, new_hub)
    assert not list(new_hub.rglob("*.tar.gz"))


def test_the_facts_of_try_it_are_published_and_stay_with_the_litert_file(member: Path, new_hub: Path) -> None:
    write_formats(member)
    write_trial(member)
    publish(member, new_hub)
    trial = find_trial(read_index(new_hub).modules[HANDLE])
    assert trial
    assert trial.model.path == f"{HANDLE}/model_int8.tflite"
    assert plain_path(trial.facts.path) == f"{HANDLE}/try.json" != trial.facts.path
    assert find_trial(read_index(new_hub).modules["tester/mini_fe/1"]) is None
    (member / "formats.json").unlink()
    publish(member, new_hub)
    assert find_trial(read_index(new_hub).modules[HANDLE]), "it stays with the LiteRT file"


def examples_of(hub: Path) -> dict[str, bytes]:
    """Returns the pictures of the classifier's example predictions, by the plain names that the hub has."""
    folder = hub / HANDLE / "examples"
    return {path.name: path.read_bytes() for path in folder.glob("*") if plain_path(path.name) == path.name}


def test_example_predictions_are_published_and_replaced(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    entry = read_index(new_hub).modules[HANDLE]
    assert [(file.page.rpartition("/")[2], file.title) for file in entry.examples][:2] == [
        ("1.png", "T-shirt/top"),
        ("2.png", "Trouser"),
    ]
    assert examples_of(new_hub) == {f"{n}.png": PICTURE + f"{n}.png".encode() for n in range(1, 11)}
    assert read_index(new_hub).modules["tester/mini_fe/1"].examples == ()
    report = load_report(member / "report.json")
    measured = report.accuracy.measured
    assert measured
    write_report(member / "report.json", with_measured(report, examples=measured.examples[:3]))
    publish(member, new_hub)
    assert set(examples_of(new_hub)) == {"1.png", "2.png", "3.png"}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            Path.unlink,
            r"examples/2\.png: no such file, but report\.json names it; delete report\.json",
        ),
        (lambda path: path.write_bytes(b"GIF89a"), r"examples/2\.png: it is no PNG file; delete report\.json"),
        (lambda path: path.write_bytes(PICTURE + bytes(4 << 20)), r"examples/2\.png: it has more than 4,194,304 bytes"),
    ],
)
def test_pictures_that_are_none_are_refused(
    member: Path, new_hub: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(member / "examples/2.png")
    with pytest.raises(Fault, match=reason):
        publish(member, new_hub)
    assert not list(new_hub.rglob("*.tar.gz"))


def test_pictures_need_a_licence(member: Path, new_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = dataclasses.replace(test_publish.COLLECTION, images_license=None)
    monkeypatch.setattr(test_publish, "COLLECTION", without)
    message = r"tiny/collection\.yaml: images_license is missing, and 10 evaluation images are to be published"
    with pytest.raises(Fault, match=message):
        publish(member, new_hub)
    assert not list(new_hub.rglob("*.png"))


def test_the_report_itself_is_published(member: Path, new_hub: Path) -> None:
    publish(member, new_hub)
    for head in Head:
        published = new_hub / f"tester/mini_{head}/1/report.json"
        assert published.read_bytes() == (member / "report.json").read_bytes()


def test_a_format_that_the_hub_lost_makes_the_receipt_incomplete(member: Path, new_hub: Path) -> None:
    write_formats(member)
    write_trial(member)
    publish(member, new_hub)
    receipt = member / "published.json"
    for name in ("model.tflite", "onnx/model.onnx", "try.json", "examples/1.png", "report.json"):
        assert not is_incomplete(receipt)
        (new_hub / HANDLE / name).unlink()
        assert is_incomplete(receipt), name
        publish(member, new_hub)
    assert sorted(path.name for path in (new_hub / "tester").iterdir() if path.is_dir()) == [
        f"mini_{head}" for head in sorted(Head)
    ]
