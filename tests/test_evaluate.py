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
from tests.saved_model.models import edit

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


# Modules of other forms -----------------------------------------------------------------------------------------------
def of_colours(images: Any) -> Any:
    """Returns logits of images of 0 to 255, NHWC."""
    return tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2)) / 12.75


def of_channels(images: Any) -> Any:
    """Does it for NCHW."""
    return of_colours(tf.transpose(images, (0, 2, 3, 1)))


def of_files(files: Any) -> Any:
    images = tf.map_fn(
        lambda data: tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), (SIZE, SIZE)),
        files,
        fn_output_signature=tf.float32,
    )
    return of_colours(images)


def with_signature(folder: Path, call: Any, *spec: Any, name: str = "serving_default") -> str:
    """Saves a module that has only a signature, of one input."""
    function = tf.function(call, autograph=False)
    tensor = tf.TensorSpec(*spec, name="pixels")
    tf.saved_model.save(tf.Module(), str(folder), signatures={name: function.get_concrete_function(tensor)})
    return str(folder)


IMAGE = (None, SIZE, SIZE, 3)
FORMS = {
    "uint8": (of_colours, (IMAGE, tf.uint8), []),
    "0 to 255": (of_colours, (IMAGE, tf.float32), ["--range=0,255"]),
    "half": (of_colours, (IMAGE, tf.float16), ["--range=0,255"]),
    "brain": (of_colours, (IMAGE, tf.bfloat16), ["--range=0,255"]),
    "int32": (of_colours, (IMAGE, tf.int32), []),
    "NCHW": (of_channels, ((None, 3, SIZE, SIZE), tf.float32), ["--range=0,255"]),
    "any NCHW": (
        of_channels,
        ((None, None, None, None), tf.float32),
        ["--range=0,255", "--layout=NCHW", "--size=9"],
    ),
    "a batch of 7": (of_colours, ((7, SIZE, SIZE, 3), tf.uint8), []),
    "a batch of 50": (of_colours, ((50, SIZE, SIZE, 3), tf.uint8), []),
    "one image": (lambda x: of_colours(x[None])[0], ((SIZE, SIZE, 3), tf.uint8), []),
    "any size": (of_colours, ((None, None, None, 3), tf.uint8), ["--size=12"]),
    "files": (of_files, ((None,), tf.string), []),
    "one file": (lambda x: of_files(x[None]), ((), tf.string), []),
    "1 x 1 outputs": (lambda x: of_colours(x)[:, None, None], (IMAGE, tf.uint8), []),
    "several outputs": (
        lambda x: {"features": tf.zeros((tf.shape(x)[0], 7)), "scores": of_colours(x), "one": tf.constant(1)},
        (IMAGE, tf.uint8),
        [],
    ),
    "two of a size": (
        lambda x: {"a": tf.zeros((tf.shape(x)[0], 3)), "b": of_colours(x)},
        (IMAGE, tf.uint8),
        ["--output=b"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_modules_of_other_forms(form: str, options: list[str], tmp_path: Path) -> None:
    call, spec, more = FORMS[form]
    evaluate.main([with_signature(tmp_path / "module", call, *spec), *options, *more, "--samples=40"])
    (module,) = figures(tmp_path)["modules"]
    assert (module["top1"], module["images"], module["input"]) == (1.0, 40, "pixels")
    assert module["range"] == (None if "file" in form else "0,255")
    assert module["at_chance"] is False


def test_another_signature_and_the_model_itself(options: list[str], tmp_path: Path) -> None:
    module = Colours()
    other = tf.function(lambda x: of_colours(x)).get_concrete_function(tf.TensorSpec(IMAGE, tf.uint8, name="x"))
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"first": other, "second": other})
    for name, more, kind in (("second", [], "0,255"), ("__call__", ["--range=0,1"], "0,1")):
        evaluate.main([str(tmp_path / "m"), *options, f"--signature={name}", *more])
        assert [figures(tmp_path)["modules"][0][key] for key in ("top1", "signature", "range")] == [1.0, name, kind]


def test_a_meta_graph_without_tags(options: list[str], tmp_path: Path) -> None:
    """As modules of TensorFlow 1 have it, whose outputs are often (n, 1, 1, classes)."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.float32, IMAGE)
        scale = tf.compat.v1.get_variable("scale", initializer=20.0)
        logits = scale * tf.reduce_mean(images, (1, 2), keepdims=True)
        session.run(tf.compat.v1.global_variables_initializer())
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "m"))
        signature = tf.compat.v1.saved_model.predict_signature_def({"images": images}, {"default": logits})
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.save()
    evaluate.main([str(tmp_path / "m"), *options, "--range=0,1"])
    assert figures(tmp_path)["modules"][0]["top1"] == 1.0


def test_an_accuracy_at_chance_ends_with_a_warning(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 0 to 1 where 0 to 255 is expected all images look black; the figures are written, the exit status is 0."""
    module = with_signature(tmp_path / "module", lambda x: tf.round(of_colours(x)), IMAGE, tf.float32)
    evaluate.main([module, *options, "--range=0,1"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        f"evaluate: warning: {module}: the accuracy is at chance: 40 of 120 images are right, 40.0 exp"
    )
    for cause in (
        "another range of pixels than 0,1 (RANGE=)",
        "LABELS=",
        "BGR",
        "wrong labels",
    ):
        assert cause in last
    # Both would be refused for this module: it has as many outputs as there are labels, and its shape tells the layout.
    assert "BACKGROUND=" not in last
    assert "LAYOUT=" not in last
    assert figures(tmp_path)["modules"][0]["at_chance"] is True
    evaluate.main([module, *options, "--range=0,255"])
    assert "at chance" not in capsys.readouterr().err


def test_outputs_that_are_not_numbers_are_counted(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, is_lost in (("some", lambda logits: logits[:, :1] > 1), ("all", lambda logits: logits[:, :1] > -1)):

        def call(images: Any, is_lost: Any = is_lost) -> Any:
            logits = of_colours(images)
            return tf.where(is_lost(logits), np.nan, logits)

        evaluate.main([with_signature(tmp_path / name, call, IMAGE, tf.uint8), *options])
    some, every = capsys.readouterr().out.split(f"{tmp_path}/all")
    assert "  NaN or infinite   outputs for 40 images, which count as wrong\n" in some
    assert "  NaN or infinite   outputs for 120 images" in every
    assert figures(tmp_path)["modules"][0]["not_numbers"] == 120


def test_each_module_has_its_own_settings(options: list[str], tmp_path: Path) -> None:
    """What is given for the first counts for the second where it fits."""
    first = with_signature(tmp_path / "first", of_colours, (None, None, None, 3), tf.float32)
    second = with_signature(tmp_path / "second", of_colours, IMAGE, tf.uint8)
    evaluate.main([first, *options, "--range=0,255", "--size=9", "--against", second, "--against-protocol=crop"])
    assert [[one[key] for key in ("image_size", "protocol", "top1")] for one in figures(tmp_path)["modules"]] == [
        [9, "resize", 1.0],
        [8, "crop", 1.0],
    ]


def test_a_second_module_that_fails_is_refused_before_the_first_is_measured(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = with_signature(tmp_path / "first", of_colours, IMAGE, tf.uint8)
    second = with_signature(tmp_path / "second", lambda x: of_colours(x)[:0], IMAGE, tf.uint8)
    with pytest.raises(Fault, match="second: its output has a length of 0 for 32 images; pass AGAINST_OUTPUT= another"):
        evaluate.main([first, *options, "--against", second])
    assert "top-1" not in capsys.readouterr().out


def test_a_module_that_fails_on_the_images_is_named(options: list[str], tmp_path: Path) -> None:
    module = with_signature(tmp_path / "module", lambda x: tf.io.parse_tensor(x[0], tf.float32), (None,), tf.string)
    with pytest.raises(Fault, match=r"module: it fails on images, string \(32,\) \(") as caught:
        evaluate.main([module, *options])
    assert len(str(caught.value)) < len(module) + 400


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda images: tf.repeat(of_colours(images), 2, axis=0), "its output has a length of 64 for 32 images"),
        (lambda images: tf.reduce_mean(of_colours(images), axis=0, keepdims=True), "a length of 1 for 32 images"),
    ],
)
def test_an_output_that_is_not_one_row_for_each_image(
    rows: Any, message: str, options: list[str], tmp_path: Path
) -> None:
    """As of models that return several crops of each image: rows would be counted for other images."""
    module = with_signature(tmp_path / "module", rows, IMAGE, tf.uint8)
    with pytest.raises(Fault, match=message):
        evaluate.main([module, *options])


def test_what_doctor_finds_explains_a_failure(options: list[str], tmp_path: Path) -> None:
    """A model with a Python function is measured, if it is trusted and the images do not reach that; else a reason."""
    for limit in (300, -1):  # of 255

        def call(images: Any, limit: int = limit) -> Any:
            logits = of_colours(images)
            of_python = tf.reduce_max(images) > limit
            return tf.cond(of_python, lambda: tf.numpy_function(lambda x: x, [logits], tf.float32), lambda: logits)

        with_signature(tmp_path / str(limit), call, IMAGE, tf.float32)
        edit(tmp_path / str(limit), forget_python)
    with pytest.raises(Fault, match="300: it cannot be run here: it calls Python functions of the process that saved"):
        evaluate.main([str(tmp_path / "300"), *options, "--range=0,255"])
    evaluate.main([str(tmp_path / "300"), *options, "--range=0,255", "--trust"])
    with pytest.raises(
        Fault, match=r"-1: it calls Python functions of .*; it fails on images, float32 \(32, 8, 8, 3\)"
    ):
        evaluate.main([str(tmp_path / "-1"), *options, "--range=0,255", "--trust"])


def forget_python(saved_model: Any) -> None:
    """Makes the Python functions of a SavedModel those of another process."""
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "PyFunc":
                node.attr["token"].s = b"gone"


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
        (
            Colours(),
            [],
            "it does not state the range of its pixels; pass RANGE=-1,1, RANGE=0,1, RANGE=0,255, or RANGE=i",
        ),
        (
            Colours(background=True),
            ["--range=0,1"],
            "it returns 4 outputs for each image, expected 3 for 3 labels; pass BACKGROUND=1 if the first output",
        ),
        (
            Colours(),
            ["--range=0,1", "--background"],
            "it returns 3 outputs for each image, expected 4 for 3 labels and a background; leave out BACKGROUND",
        ),
        (Colours(), ["--range=0,1", "--size=9"], "it takes images of 8 pixels, got SIZE=9; leave out SIZE"),
        (tf.Module(), ["--range=0,1"], "it has no signatures and cannot be called; pass signatures= to tf.saved_model"),
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
    with pytest.raises(
        Fault, match=r"returns 3 outputs for each image, expected 1,000 for 1,000 labels; .* pass LABELS= with the"
    ):
        evaluate.main([saved(tmp_path / "module", Colours()), options[0], "--range=0,1"])


def test_other_files_are_refused(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such file or folder; expected a SavedModel: its folder"):
        evaluate.main([str(tmp_path / "nowhere"), *options])
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(Fault, match=r"a\.tar\.gz: neither a folder nor an archive"):
        evaluate.main([str(tmp_path / "a.tar.gz"), *options])


def test_the_output_is_selected() -> None:
    rows, others = np.zeros((2, 3)), np.ones((2, 3))
    for outputs, chosen in (
        ({"a": others, "b": rows}, "b"),
        ([others, rows], "1"),
        (rows, "output"),
        (rows, None),
        ([rows], None),
    ):
        assert not third_party.select_output(outputs, chosen, "m").any()
    with pytest.raises(Fault, match="m: it returns a, b; pass AGAINST_OUTPUT= one of them"):
        third_party.select_output({"a": rows, "b": rows}, None, "m", "AGAINST_")
    with pytest.raises(Fault, match=r"m: its output has shape \(2, 3, 4\), expected \(n, classes\); pass OUTPUT="):
        third_party.select_output(np.zeros((2, 3, 4)), None, "m")
    assert third_party.select_output(np.zeros((2, 1, 1, 4)), None, "m").shape == (2, 4)
    assert third_party.select_output(np.zeros(4), None, "m").shape == (1, 4)
