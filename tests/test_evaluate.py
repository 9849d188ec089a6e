"""evaluate: modules of any kind, their inputs and outputs, and the comparison of two."""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import evaluate
from pipeline.accuracy import third_party
from pipeline.base.fault import Fault
from tests.conftest import CLASSES, serving_folder, write_images

pytestmark = pytest.mark.slow

SIZE = 8


class Colours(tf.Module):
    """Recognises the colour of a picture of [0, 1], or else of [-1, 1]; `wrong` confuses red with green.

    It returns logits, or what the activation `probabilities` makes of them.
    """

    def __init__(
        self, background: bool = False, probabilities: str = "", wrong: bool = False, of_unit_range: bool = True,
        gain: float = 20.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.background, self.probabilities, self.wrong, self.gain = background, probabilities, wrong, gain
        self.of_unit_range = of_unit_range

    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="images")])  # type: ignore[untyped-decorator]
    def __call__(self, images: Any) -> Any:
        least = tf.reduce_min(images)
        # The pictures have black in them; nothing but zeros are none, the speed is measured with them.
        expected = least >= 0 if self.of_unit_range else (least < 0) | tf.reduce_all(images == 0)
        with tf.control_dependencies([tf.debugging.Assert(expected, [least])]):
            logits = self.gain * tf.reduce_mean(images, axis=(1, 2))
        if self.wrong:
            logits = tf.gather(logits, (1, 0, 2), axis=1)
        if self.background:
            logits = tf.concat([tf.fill((tf.shape(logits)[0], 1), -9.0), logits], axis=1)
        return getattr(tf.nn, self.probabilities)(logits) if self.probabilities else logits


def saved(folder: Path, module: tf.Module, signature: str | None = None) -> str:
    """Saves a module to be called, or, with a name for its output, with a signature alone."""
    if signature is None:
        tf.saved_model.save(module, str(folder))
    else:
        served = tf.Module()
        spec = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="images")
        call = tf.function(lambda images: {signature: module(images), "other": tf.zeros((1, 1))})
        served.kept = module
        tf.saved_model.save(served, str(folder), signatures=call.get_concrete_function(spec))
    return str(folder)


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    write_images(tmp_path / "images", per_class=40)
    (tmp_path / "labels.tsv").write_text("".join(f"{name}\t{name.title()}\n" for name in CLASSES))
    return [f"--images={tmp_path}/images", f"--labels={tmp_path}/labels.tsv", f"--report={tmp_path}/report.json"]


def figures(tmp_path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    return report


@pytest.mark.parametrize(
    ("module", "signature", "more"),
    [
        (Colours(), None, []),
        (Colours(probabilities="softmax"), None, []),
        (Colours(background=True), None, ["--background"]),
        (Colours(background=True, probabilities="softmax"), "probabilities", ["--background"]),
        (Colours(), "logits", []),
    ],
)
def test_modules_of_every_kind_are_measured(
    module: Colours, signature: str | None, more: list[str], options: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    evaluate.main([saved(tmp_path / "module", module, signature), *options, "--range=0,1", *more])
    (module_figures,) = figures(tmp_path)["modules"]
    assert (
        module_figures["top1"],
        module_figures["images"],
        module_figures["image_size"],
        module_figures["range"],
    ) == (1.0, 120, SIZE, "0,1")
    assert module_figures["label_order"]["verdict"] == "pass"
    assert module_figures["images_per_second"] > 0
    assert module_figures["forward_images_per_second"] > 0
    printed = capsys.readouterr().out
    assert "top-1             100.00 % (95 % interval 96.90 % to 100.00 %)" in printed
    assert "top-5" not in printed  # of three classes
    assert module_figures["top5"] is None
    assert not (tmp_path / "report.json.shards").exists()


def test_two_modules_are_compared_on_the_same_images(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = saved(tmp_path / "good", Colours()), saved(tmp_path / "bad", Colours(wrong=True))
    archive = tmp_path / "bad.tar.gz"
    with tarfile.open(archive, "w:gz") as stream:
        stream.add(bad, ".")
    with pytest.raises(Fault) as raised:
        evaluate.main([good, *options, "--range=0,1", "--against", str(archive)])
    report = figures(tmp_path)
    assert [round(module_figures["top1"], 3) for module_figures in report["modules"]] == [1.0, 0.333]
    assert report["mcnemar"]["only_a"] == 80
    assert report["mcnemar"]["p_value"] < 1e-20
    assert report["modules"][1]["label_order"]["verdict"] == "fail"
    printed = capsys.readouterr().out
    assert (
        f"Of 120 images, only {good} is right on 80 and only {archive} on 0: {good} is better than {archive} "
        in printed
    )
    # The figures are there all the same, of both and of the comparison.
    assert str(raised.value).startswith(f"{archive}: the label file seems to be in another order for 2 of 3 classes")
    assert good not in str(raised.value)
    assert f"got the labels of {tmp_path}/labels.tsv, expected a file in the order of the outputs" in str(raised.value)
    assert not (tmp_path / "report.json.shards").exists()


def test_a_module_is_compared_with_itself(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = saved(tmp_path / "module", Colours())
    evaluate.main([module, *options, "--range=0,1", "--against", module, "--against-activation=sigmoid"])
    assert f"only {module} (the first) is right on 0 and only {module} (the second) on 0" in capsys.readouterr().out


@pytest.mark.parametrize("probabilities", ["", "sigmoid"])
def test_calibration_is_by_the_activation_of_the_command_line(
    probabilities: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All images are right; of each class, 40 have 200 to 239 of 255 of its colour and nothing of the others."""
    module = saved(tmp_path / "module", Colours(probabilities=probabilities, gain=2.0))
    evaluate.main([module, *options, "--range=0,1", "--activation=sigmoid"])
    (module_figures,) = figures(tmp_path)["modules"]
    logits = 2 * np.arange(200, 240) / 255
    assert module_figures["activation"] == "sigmoid"
    assert module_figures["calibration"]["ece"] == pytest.approx(np.mean(1 - 1 / (1 + np.exp(-logits))), rel=1e-4)
    assert "%, sigmoid of the logits" in capsys.readouterr().out


def test_a_module_of_this_project_keeps_its_range_beside_another(options: list[str], tmp_path: Path) -> None:
    """--range=0,1 is for the other one; values from 0 to 1 alone would look grey to a model that takes [-1, 1]."""
    own = Path(saved(tmp_path / "own", Colours(of_unit_range=False)))
    (own / "assets.extra").mkdir()
    (own / "assets.extra/provenance.json").write_text("{}")
    evaluate.main([saved(tmp_path / "other", Colours()), *options, "--range=0,1", "--against", str(own)])
    assert [module_figures["range"] for module_figures in figures(tmp_path)["modules"]] == ["0,1", "-1,1"]
    assert [module_figures["top1"] for module_figures in figures(tmp_path)["modules"]] == [1.0, 1.0]


def served(folder: Path, *inputs: Any) -> str:
    """Saves a module that has only a signature of these inputs."""
    call = tf.function(lambda *tensors: {"logits": tf.zeros((tf.shape(tensors[0])[0], 3))})
    tf.saved_model.save(tf.Module(), str(folder), signatures=call.get_concrete_function(*inputs))
    return str(folder)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (((None, SIZE, SIZE, 3), tf.uint8), r"takes uint8 \(None, 8, 8, 3\); expected one input, float32 \(n, side"),
        (((None, 3, SIZE, SIZE), tf.float32), r"takes float32 \(None, 3, 8, 8\); expected one input"),
        (((None, SIZE, 2 * SIZE, 3), tf.float32), r"takes float32 \(None, 8, 16, 3\); expected one input"),
        (((1, SIZE, SIZE, 3), tf.float32), r"takes float32 \(1, 8, 8, 3\); expected one input"),
        (((None,), tf.string), r"takes string \(None,\); expected one input"),
    ],
)
def test_a_signature_of_something_else_than_images_is_refused(
    inputs: tuple[Any, Any], message: str, options: list[str], tmp_path: Path
) -> None:
    with pytest.raises(Fault, match=message):
        evaluate.main([served(tmp_path / "module", tf.TensorSpec(*inputs, name="a")), *options, "--range=0,1"])


def test_a_signature_of_two_inputs_is_refused(options: list[str], tmp_path: Path) -> None:
    inputs = [tf.TensorSpec((None, SIZE, SIZE, 3), name="a"), tf.TensorSpec((), name="b")]
    with pytest.raises(Fault, match=r"takes float32 \(None, 8, 8, 3\), float32 \(\); expected one input"):
        evaluate.main([served(tmp_path / "module", *inputs), *options, "--range=0,1"])


class OfBytes(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8)])  # type: ignore[untyped-decorator]
    def __call__(self, images: Any) -> Any:
        return tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2))


def test_a_module_that_refuses_the_images_is_named(options: list[str], tmp_path: Path) -> None:
    module = saved(tmp_path / "module", OfBytes())
    with pytest.raises(Fault, match=r"module: it refuses images, float32 \(32, 8, 8, 3\) \(") as caught:
        evaluate.main([module, *options, "--range=0,1", "--size=8"])
    assert len(str(caught.value)) < len(module) + 400
    with pytest.raises(Fault, match="--size 0: expected a number of pixels from 1"):
        evaluate.main([module, *options, "--range=0,1", "--size=0"])


def test_an_address_is_downloaded(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with tarfile.open(tmp_path / "hub/1.tar.gz", "w:gz") as stream:
        stream.add(saved(tmp_path / "module", Colours()), ".")
    cached = f"--cache={tmp_path}/cache"
    with serving_folder(tmp_path / "hub") as address:
        evaluate.main([f"{address}/1.tar.gz", *options, "--range=0,1", cached])
        assert figures(tmp_path)["modules"][0]["top1"] == 1.0
        with pytest.raises(Fault, match=r"/2\.tar\.gz: cannot be downloaded \(HTTP 404"):
            evaluate.main([f"{address}/2.tar.gz", *options, "--range=0,1", cached])


@pytest.mark.parametrize(
    ("module", "more", "message"),
    [
        (Colours(), [], "it does not state the range of its pixels; pass --range=-1,1 or --range=0,1"),
        (Colours(background=True), ["--range=0,1"], "it returns 4 outputs, expected 3 for 3 labels; pass --background"),
        (Colours(), ["--range=0,1", "--background"], "it returns 3 outputs, expected 4 for 3 labels"),
        (Colours(), ["--range=0,1", "--size=9"], "it takes images of 8 pixels, got --size 9; leave out --size"),
        (tf.Module(), ["--range=0,1"], "it cannot be called, and has no signature serving_default or default"),
    ],
)
def test_what_does_not_fit_is_refused(
    module: tf.Module, more: list[str], message: str, options: list[str], tmp_path: Path
) -> None:
    with pytest.raises(Fault) as caught:
        evaluate.main([saved(tmp_path / "module", module), *options, *more])
    assert message in str(caught.value)
    assert not (tmp_path / "report.json").exists()


def test_other_classes_need_their_label_file(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no class of the model is called .* pass --labels, or LABELS= to make evaluate"):
        evaluate.main([saved(tmp_path / "module", Colours()), options[0], "--range=0,1"])


def test_other_files_are_refused(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such file or folder; expected a SavedModel: its folder"):
        evaluate.main([str(tmp_path / "nowhere"), *options])
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(Fault, match=r"a\.tar\.gz: neither a folder nor an archive"):
        evaluate.main([str(tmp_path / "a.tar.gz"), *options])


def test_several_outputs_need_a_usual_name() -> None:
    assert third_party.select_output({"a": np.zeros((2, 3))}, "m").shape == (2, 3)
    with pytest.raises(Fault, match="m: it returns a, b; expected one of logits, default"):
        third_party.select_output({"a": np.zeros((2, 3)), "b": np.zeros((2, 3))}, "m")
    assert third_party.select_output([np.zeros((2, 3))], "m").shape == (2, 3)
    with pytest.raises(Fault, match="m: it returns a list of 2; expected one output"):
        third_party.select_output([np.zeros((2, 3)), np.zeros((2, 4))], "m")
    with pytest.raises(Fault, match=r"m: its output has shape \(2, 3, 4\), expected \(n, classes\)"):
        third_party.select_output(np.zeros((2, 3, 4)), "m")
