"""SavedModels as TensorFlow, Keras and TensorFlow 1 write them: what doctor finds is what their loaders do."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.saved_model.faults import find_faults
from pipeline.saved_model.inspection import inspect_saved_model
from tests.conftest import once
from tests.saved_model.models import faults_of

pytestmark = pytest.mark.slow


def _save(folder: Path, function: Callable[[Any], Any], **tracked: Any) -> None:
    """Saves a function of float32 (n, 2); `tracked` are objects that it uses."""
    import tensorflow as tf

    module = tf.Module()
    for name, value in tracked.items():
        setattr(module, name, value)
    module.f = tf.function(function, input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    tf.saved_model.save(module, str(folder), module.f)


def _write_functions(folder: Path) -> None:
    import tensorflow as tf

    (folder / "words.txt").write_text("a\nb\n")
    words = str(folder / "words.txt")
    key, value = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    file = tf.lookup.TextFileInitializer(words, tf.string, key, tf.int64, value)
    table, asset = tf.lookup.StaticHashTable(file, -1), tf.saved_model.Asset(words)

    def printing(x: Any) -> Any:
        tf.print(x)
        return x

    def writing(x: Any) -> Any:
        tf.io.write_file(words, tf.strings.as_string(x[0, 0]))
        return x

    _save(folder / "lookup", lambda x: table.lookup(tf.strings.as_string(x)), table=table)
    _save(folder / "asset", lambda x: (tf.io.read_file(asset.asset_path), x), asset=asset)
    _save(folder / "print", printing)
    _save(folder / "read", lambda x: (tf.io.read_file("/etc/hostname"), x))
    _save(folder / "write", writing)
    _save(folder / "python", lambda x: tf.numpy_function(lambda a: a, [x], tf.float32))
    _save(folder / "webp", lambda x: tf.io.decode_webp(tf.strings.as_string(x[0, 0])))
    _save(folder / "fft", lambda x: tf.signal.fftnd(tf.cast(x, tf.complex64)))


def _write_keras(folder: Path) -> None:
    import keras
    import tf_keras

    keras.Sequential([keras.layers.Input((4, 2)), keras.layers.LSTM(2)]).export(folder / "keras", verbose=False)
    layers = [tf_keras.layers.Input((4, 2)), tf_keras.layers.LSTM(2), tf_keras.layers.Dropout(0.1)]
    tf_keras.Sequential(layers).save(folder / "tf_keras")


def _write_tensorflow_1(folder: Path, *tags: list[str]) -> None:
    """Writes a meta graph for each set of tags; each has a variable and a lookup table with an asset."""
    import tensorflow as tf

    v1, index = tf.compat.v1, tf.lookup.TextFileIndex
    builder = v1.saved_model.Builder(str(folder))
    for number, names in enumerate(tags):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2])
            path = tf.constant(str(folder.parent / "words.txt"))
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
            file = tf.lookup.TextFileInitializer(path, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER)
            count = tf.lookup.StaticVocabularyTable(file, 1).size()
            y = x * v1.get_variable("v", [2], initializer=v1.ones_initializer()) + tf.cast(count, tf.float32)
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            signature = {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
            assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
            more = {"assets_collection": assets, "main_op": v1.tables_initializer()}
            if number:
                builder.add_meta_graph(names, signature, **more)
            else:
                builder.add_meta_graph_and_variables(session, names, signature, **more)
    builder.save()


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels. Tests must not change it."""

    def build(folder: Path) -> None:
        from pipeline.saved_model.load import start_tensorflow

        start_tensorflow()
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated names, inside the libraries
            _write_functions(folder)
            _write_keras(folder)
            _write_tensorflow_1(folder / "serve", ["serve"])
            _write_tensorflow_1(folder / "gpu", ["serve"], ["serve", "gpu"])
            _write_tensorflow_1(folder / "hub", [], ["train"])

    return once(tmp_path_factory, "strangers", build)


@pytest.mark.parametrize("name", ["lookup", "asset", "print", "webp", "keras", "tf_keras", "serve"])
def test_models_without_faults(strangers: Path, name: str) -> None:
    """No false alarm about savers, assets, tf.print, and functions for GPUs that are not called."""
    assert faults_of(strangers / name) == {}


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("python", "python", "it calls Python functions of the process that saved it (PyFunc in <lambda>)"),
        ("read", "access", "it reads files that are not its own: ReadFile /etc/hostname;"),
        ("write", "access", "it writes files: WriteFile /"),
        ("fft", "devices", "it runs on GPUs only, because of FFTND in <lambda>"),
    ],
)
def test_models_with_a_fault(strangers: Path, name: str, kind: str, message: str) -> None:
    faults = faults_of(strangers / name)
    assert set(faults) == {kind}
    assert message in faults[kind]


def test_the_oldest_tensorflow_of_an_operation(strangers: Path) -> None:
    assert inspect_saved_model(strangers / "webp").tensorflow == "2.20"
    assert inspect_saved_model(strangers / "print").tensorflow == "2.14"


def test_variables_of_tensorflow_1_are_counted(strangers: Path) -> None:
    assert vars(inspect_saved_model(strangers / "serve").variables) == {"count": 1, "bytes": 8, "trainable": 1}


@pytest.mark.parametrize(
    ("name", "tags"), [("gpu", ["serve"]), ("gpu", ["serve", "gpu"]), ("hub", []), ("hub", ["train"])]
)
def test_tensorflow_loads_several_meta_graphs_with_tags_only(strangers: Path, name: str, tags: list[str]) -> None:
    import tensorflow as tf

    (finding,) = find_faults(inspect_saved_model(strangers / name))
    assert finding.kind == "tags"
    assert f"tags={tags}" in finding.text
    with pytest.raises(ValueError, match="requires a `tags=` argument if there is more than one MetaGraph"):
        tf.saved_model.load(str(strangers / name))
    outputs = tf.saved_model.load(str(strangers / name), tags=tags).signatures["serving_default"](x=tf.ones((1, 2)))
    assert outputs["y"].numpy().tolist() == [[4.0, 4.0]]  # 1 + two words and a bucket for others


def test_tensorflow_has_no_kernel_where_the_table_has_none(strangers: Path) -> None:
    import tensorflow as tf

    model = tf.saved_model.load(str(strangers / "fft"))
    if not tf.config.list_physical_devices("GPU"):
        with pytest.raises(tf.errors.OpError, match="FFTND"):
            model.f(tf.ones((1, 2)))
