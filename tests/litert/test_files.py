"""LiteRT files of a small module of ordinary TensorFlow operations."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.quality import Examples, Quality
from pipeline.forms.running import run_files
from pipeline.litert.converting import convert_to
from pipeline.litert.files import write_converted, write_files
from pipeline.litert.forms import file_name
from pipeline.litert.metadata import metadata_of, read_metadata
from pipeline.litert.running import RUNNER

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = pytest.mark.slow

SIZE, CLASSES = 8, 10
FACTS = Facts(
    head=Head.CLASSIFICATION,
    content_sha256="ab" * 32,
    publication=Publication("Small", "publisher/small_classification/1", 1, "A publisher", "apache-2.0"),
    image_size=SIZE,
    labels=tuple(f"class {index}" for index in range(CLASSES)),
)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (40, SIZE, SIZE, 3)).astype(np.float32)
HIDDEN, OUT = (RANDOM.normal(0, shape[0] ** -0.5, shape) for shape in ((SIZE * SIZE * 3, 128), (128, CLASSES)))


def two_layers(inputs: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    flat = tf.reshape(inputs, (-1, SIZE * SIZE * 3))
    hidden = tf.nn.gelu(flat @ tf.constant(HIDDEN, tf.float32), approximate=True)
    return hidden @ tf.constant(OUT, tf.float32)


def save(folder: Path, compute: Callable[["tf.Tensor"], "tf.Tensor"], output: str = "logits") -> Path:
    """Saves a function as a SavedModel whose signature has the names that this project gives them."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="inputs")
    signature = tf.function(lambda inputs: {output: compute(inputs)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": signature})
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("plain") / "small", two_layers)


@pytest.fixture(scope="module")
def written(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Precision, Quality]]:
    """All files of the small module, and what was measured of them."""
    target = tmp_path_factory.mktemp("files")
    labels = run_numpy(IMAGES).argmax(axis=1)
    return target, write_files(plain, target, FACTS, Examples(IMAGES, labels))


def run_numpy(images: np.ndarray) -> np.ndarray:
    """Returns the logits in float64."""
    hidden = images.reshape(len(images), -1).astype(np.float64) @ HIDDEN
    cubed = hidden + 0.044715 * hidden**3
    return (0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * cubed))) @ OUT


def test_every_form_computes_the_module(written: tuple[Path, dict[Precision, Quality]]) -> None:
    expected = run_numpy(IMAGES)
    for precision, limit in {Precision.FLOAT32: 1e-6, Precision.FLOAT16: 2e-3, Precision.INT8: 3e-2}.items():
        (run,) = run_files(RUNNER, [written[0] / file_name(precision)], IMAGES, rounds=0)
        assert run.outputs.keys() == {1, 32}
        for outputs in run.outputs.values():
            assert np.abs(outputs - expected).max() / np.abs(expected).max() < limit, precision


def test_files_say_what_they_are(written: tuple[Path, dict[Precision, Quality]]) -> None:
    assert sorted(file.name for file in written[0].iterdir()) == sorted(file_name(precision) for precision in OF_FILES)
    for precision in OF_FILES:
        metadata = read_metadata((written[0] / file_name(precision)).read_bytes(), file_name(precision))
        assert metadata == metadata_of(FACTS, precision)
        assert len(metadata.labels) == CLASSES


def test_quantized_files_are_measured(written: tuple[Path, dict[Precision, Quality]]) -> None:
    qualities = written[1]
    assert set(qualities) == {Precision.FLOAT16, Precision.INT8}
    assert qualities[Precision.INT8].size < 0.34 < qualities[Precision.FLOAT16].size < 0.53
    assert {(quality.images, quality.float32_top1) for quality in qualities.values()} == {(40, 1.0)}
    assert 0.999 < qualities[Precision.INT8].cosine < qualities[Precision.FLOAT16].cosine < 1


def test_files_load_in_tensorflow(written: tuple[Path, dict[Precision, Quality]]) -> None:
    import tensorflow as tf

    for precision in OF_FILES:
        with pytest.warns(UserWarning, match=r"tf\.lite\.Interpreter is deprecated"):
            interpreter = tf.lite.Interpreter(str(written[0] / file_name(precision)))
        outputs = interpreter.get_signature_runner("serving_default")(inputs=IMAGES[:3])
        assert outputs["logits"].shape == (3, CLASSES)


def test_another_process_writes_the_same_bytes(
    plain: Path, written: tuple[Path, dict[Precision, Quality]], tmp_path: Path
) -> None:
    converted, target = tmp_path / "converted", tmp_path / "target"
    converted.mkdir()
    for precision in OF_FILES:
        (converted / precision).write_bytes(convert_to(plain, precision))
    write_converted(converted, target, FACTS, Examples(IMAGES))
    for precision in OF_FILES:
        assert (target / file_name(precision)).read_bytes() == (written[0] / file_name(precision)).read_bytes(), (
            precision
        )


def test_an_operation_that_litert_lacks_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    plain = save(tmp_path / "module", lambda inputs: tf.math.erfinv(inputs[:, 0, 0] / 2))
    with pytest.raises(Fault, match=r"module: LiteRT has no operation Erfinv, so the module has no LiteRT files"):
        convert_to(plain, Precision.FLOAT32)


def test_a_module_of_one_xla_program_is_refused(plain: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="program", op="XlaCallModule")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(Fault, match=r"LiteRT has no operation XlaCallModule; convert its plain twin"):
        convert_to(tmp_path, Precision.FLOAT32)
