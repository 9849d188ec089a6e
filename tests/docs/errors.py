"""The errors of docs/troubleshooting.md, made by the programs that people use; each returns what is printed."""

import gc
import http.server
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints.section import Checkpoint
from pipeline.hub.entries import PublishedFile
from pipeline.hub.tarballs import hash_file, is_missing
from pipeline.published import find_changes
from tests.conftest import ROOT, run_make, run_stage, serving, serving_folder
from tests.faulty_server import faulty, status
from tests.fetch.fetching import archive, refuse, run
from tests.machine import fake_interpreter
from tests.server.harness import running, write_hub


@dataclass(frozen=True)
class Place:
    """Where an error is made."""

    folder: Path
    request: pytest.FixtureRequest

    @property
    def module(self) -> Path:
        """A feature extractor: 16 pixels."""
        published: Path = self.request.getfixturevalue("published")
        return published / "artifacts/mini/fe"

    def editable_module(self) -> Path:
        """A copy of it whose graph may be changed."""
        copy = copytree(self.module, self.folder / "copy")
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return copy


def error_of(call: Callable[[], object]) -> str:
    """Returns the class and the text of the error that a call must raise."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the page's words are compared, whatever the class
        call()
    return f"{raised.type.__name__}: {raised.value}"


def import_without_setuptools(place: Place) -> str:
    """The real tensorflow_hub in a Python without setuptools; TensorFlow, which comes before it, is left out."""
    spec = find_spec("tensorflow_hub")
    assert spec is not None
    assert spec.submodule_search_locations
    (place.folder / "tensorflow_hub").symlink_to(spec.submodule_search_locations[0])
    (place.folder / "tensorflow.py").write_text("__version__ = '2.21.0'\n")
    script = f"import sys; sys.path.append({str(place.folder)!r}); import tensorflow_hub"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    return done.stderr


class Host(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the address names, and with 200 as a page that asks for a password."""

    def do_GET(self) -> None:
        code = int(self.path.split("/")[1])
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Sign in</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


def load_from_a_host(place: Place) -> str:
    import tensorflow_hub

    with serving(Host) as address, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the client leaves connections of failed downloads open
        handles = [f"{address}/{code}/alice/net/1.tar.gz" for code in (404, 403, 200)]
        text = "\n".join(error_of(partial(tensorflow_hub.load, handle)) for handle in handles)
        gc.collect()
    return text


def load_from_a_damaged_cache(place: Place) -> str:
    """What is cut short and what is missing, in the folder where tensorflow_hub has unpacked a module."""
    import tensorflow_hub

    hub = place.module.parents[1] / "hub"
    with serving_folder(hub) as address:
        handle = f"{address}/tester/mini_fe/1.tar.gz"
        tensorflow_hub.load(handle)
        folder = Path(tensorflow_hub.resolve(handle))
        (values,) = folder.glob("variables/variables.data*")
        values.write_bytes(values.read_bytes()[:100])
        short = error_of(lambda: tensorflow_hub.load(handle))
        (folder / "saved_model.pb").unlink()
        missing = error_of(lambda: tensorflow_hub.load(handle))
    assert str(folder) in missing  # "the folder that the message names"
    return f"{short}\n{missing}"


def load_what_is_too_new(place: Place) -> str:
    """A version that TensorFlow does not know, and an operation that it does not know: a name that nobody has."""
    import tensorflow as tf

    from pipeline.saved_model.graph import saved_model_class

    folder, unknown = place.editable_module(), "XlaCallModuleOfTomorrow"
    path = folder / "saved_model.pb"
    original = path.read_bytes()

    def change(edit: Callable[[object], None]) -> None:
        model = saved_model_class().FromString(original)
        (meta_graph,) = model.meta_graphs
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "XlaCallModule":
                    edit(node)
        path.write_bytes(model.SerializeToString())

    change(lambda node: setattr(node.attr["version"], "i", 99))  # type: ignore[attr-defined]
    version = error_of(lambda: tf.saved_model.load(str(folder))(tf.zeros((1, 16, 16, 3))))
    change(lambda node: setattr(node, "op", unknown))
    operation = error_of(lambda: tf.saved_model.load(str(folder)))
    return f"{version}\n{operation}".replace(unknown, "XlaCallModule")


def use_a_layer_of_keras_2(place: Place) -> str:
    import keras
    import tensorflow_hub

    layer, inputs = tensorflow_hub.KerasLayer(str(place.module)), keras.Input((16, 16, 3))
    return error_of(lambda: keras.Sequential([inputs, layer])) + "\n" + error_of(lambda: layer(inputs))


def call_with_other_arrays(place: Place) -> str:
    import tensorflow as tf

    model = tf.saved_model.load(str(place.module))
    default = model.signatures["serving_default"]
    large, bytes_ = tf.zeros((1, 32, 32, 3)), tf.zeros((1, 16, 16, 3), tf.uint8)
    texts = [error_of(partial(model, array)) for array in (large, bytes_, np.zeros((1, 16, 16, 3)))]
    assert all("matching concrete function" in text and "Option 1" in text for text in texts)
    texts += [error_of(lambda: default(inputs=large)), error_of(lambda: default(inputs=bytes_))]
    model.signatures["serving_images"](images=tf.zeros((1, 20, 30, 3), tf.uint8))  # what the page advises
    return "\n".join(texts)


def call_with_more_than_fits(place: Place) -> str:
    """More bytes than a process has addresses for, so that no setting of the machine grants them."""
    import tensorflow as tf

    model = tf.saved_model.load(str(place.module))
    return error_of(lambda: model(tf.zeros((2**40, 16, 16, 3))))


def serve_without_xla(place: Place) -> str:
    """By the C API, whose loader is the server's, with XLA disabled as the server does."""
    from tests.serving.stand_in import load_models
    from tests.serving.test_stand_in import without_xla

    copytree(place.module, place.folder / "module/1")
    with load_models(place.folder) as models, without_xla():
        images = np.zeros((1, 16, 16, 3), np.float32)
        return error_of(lambda: models["module"].run("serving_default", {"inputs": images}))


def run_onnx_with_other_arrays(place: Place) -> str:
    """A mean of what the files of this project take."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ("n", 3, 28, 28))
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    node = helper.make_node("ReduceMean", ["pixel_values"], ["logits"])
    graph = helper.make_graph([node], "mean", [taken], [given])

    def session(opset: int) -> onnxruntime.InferenceSession:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        return onnxruntime.InferenceSession(onnx.ModelProto.SerializeToString(model))

    mean = session(20)
    mean.run(None, {"pixel_values": np.zeros((2, 28, 28, 3)).transpose(0, 3, 1, 2).astype(np.float32)})
    arrays = np.zeros((1, 28, 28, 3), np.float32), np.zeros((1, 3, 28, 28), np.uint8)
    texts = [error_of(partial(mean.run, None, {"pixel_values": array})) for array in arrays]
    opset = error_of(lambda: session(999))
    assert "is under development" in opset  # quoted in the text below
    return "\n".join([*texts, opset])


def run_litert_with_other_arrays(place: Place) -> str:
    from ai_edge_litert.interpreter import Interpreter

    from tests.litert.models import mean_model

    def interpreter() -> Interpreter:
        made = Interpreter(model_content=mean_model(size=28))
        made.allocate_tensors()
        return made

    model, batch = interpreter(), np.zeros((4, 28, 28, 3), np.float32)
    index = model.get_input_details()[0]["index"]
    shape = error_of(lambda: model.set_tensor(index, batch))
    kind = error_of(lambda: model.set_tensor(index, np.zeros((1, 28, 28, 3), np.uint8)))
    model.resize_tensor_input(index, [4, 28, 28, 3])  # what the page advises
    model.allocate_tensors()
    model.set_tensor(index, batch)
    assert interpreter().get_signature_runner("serving_default")(inputs=batch)["logits"].shape == (4, 3)
    return f"{shape}\n{kind}"


class StrictPage(http.server.BaseHTTPRequestHandler):
    """A page whose policy allows scripts, but no WebAssembly, and an empty program in WebAssembly."""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/program.wasm":
            self.send_header("Content-Type", "application/wasm")
        self.send_header("Content-Security-Policy", "script-src 'self'")
        self.end_headers()
        self.wfile.write(b"\0asm\1\0\0\0" if self.path == "/program.wasm" else b"<!doctype html><title>page</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


FETCH = "address => fetch(address).then(() => '', String)"
COMPILE = "address => WebAssembly.instantiateStreaming(fetch(address)).then(() => '', String)"


def load_in_a_browser(place: Place) -> str:
    from tests.browser import start_browser

    (place.folder / "page.html").write_text("<!doctype html><title>page</title>")
    (place.folder / "model.tflite").write_bytes(b"TFL3")
    said: list[str] = []
    with start_browser() as browser, serving(StrictPage) as strict, running(write_hub(place.folder / "hub")) as hub:
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.goto((place.folder / "page.html").as_uri())
        said.append(page.evaluate(FETCH, "model.tflite"))
        page.goto(strict)
        said.append(page.evaluate(FETCH, f"{hub.address}/alice/net/1/model.tflite"))
        said.append(page.evaluate(COMPILE, "/program.wasm"))
    return "\n".join(said)


def run_an_old_make(place: Place) -> str:
    old = run_make(ROOT, "help", "MAKE_VERSION=3.81").stderr
    tree: Path = place.request.getfixturevalue("fresh")
    python = fake_interpreter(place.folder / "python3.10", "Python 3.10.12\n", 1)
    return old + run_make(tree, "fetch", "MODEL=mini", f"BASE_PYTHON={python}").stderr


def fetch_from_the_closed_bucket(place: Place) -> str:
    monkeypatch: pytest.MonkeyPatch = place.request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with faulty(b"", status(403)) as bucket:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.address)
        sources = ("gs://vit_models/augreg/{name}.npz",)
        message = refuse(Checkpoint("a", sources), place.folder, place.request.getfixturevalue("out"))
    assert "closed to anonymous readers since February 2026" in message  # "The message goes on"
    assert "CHECKPOINTS=" in message
    return message


def use_another_checkpoint(place: Place) -> str:
    """A member that says 5 classes, and a file with another digest than the pinned one."""
    out: Path = place.request.getfixturevalue("out")
    (place.folder / "a.npz").write_bytes(archive())
    with pytest.raises(Fault) as raised:
        run(Checkpoint("a", ("a.npz",), "0" * 64), place.folder, out)
    tiny: Path = place.request.getfixturevalue("tiny")
    checkpoint: Path = place.request.getfixturevalue("mini_checkpoint")
    member = tiny / "mini.yaml"
    member.write_text(member.read_text().replace("classes: 3", "classes: 5").replace("  labels: labels.tsv\n", ""))
    done = run_stage("convert", member, checkpoint, place.folder / "converted")
    return f"{raised.value}\n{done.stderr}"


def publish_again(place: Place) -> str:
    """Another computation under the version, which is refused before validate; and other bytes, by publish."""
    from tests.test_published import edit_build

    folder: Path = place.request.getfixturevalue("published_member")
    tiny: Path = place.request.getfixturevalue("tiny")
    edit_build(folder)
    text = "\n".join(find_changes(tiny / "mini.yaml", folder, folder.parents[1] / "hub", is_converted=True))
    (place.folder / "new.tar.gz").write_bytes(b"new")
    new = hash_file(place.folder / "new.tar.gz", "test")
    old = PublishedFile("tester/mini_fe/1.tar.gz", 3, "0" * 64)
    return text + "\n" + error_of(lambda: is_missing(new, place.folder / "hub" / old.path, old))


# By heading: what makes it, and how its test is marked.
ERRORS: dict[str, tuple[Callable[[Place], str], tuple[str, ...]]] = {
    "tensorflow_hub cannot be imported": (import_without_setuptools, ()),
    "hub.load does not find the module": (load_from_a_host, ("slow",)),
    "The cached copy is incomplete": (load_from_a_damaged_cache, ("slow",)),
    "This TensorFlow is too old for the module": (load_what_is_too_new, ("slow",)),
    "Keras refuses the layer": (use_a_layer_of_keras_2, ("slow",)),
    "The array has another size or type than the model": (call_with_other_arrays, ("slow",)),
    "Out of memory": (call_with_more_than_fits, ("slow", "long")),  # TensorFlow tries again for ten seconds
    "The server has no XLA compiler": (serve_without_xla, ("slow",)),
    "onnxruntime refuses the array": (run_onnx_with_other_arrays, ()),
    "LiteRT refuses the array": (run_litert_with_other_arrays, ()),
    "The browser does not load the model": (load_in_a_browser, ("slow",)),
    "make stops before it does anything": (run_an_old_make, ()),
    "No source has the checkpoint": (fetch_from_the_closed_bucket, ()),
    "The checkpoint is another one than the YAML file says": (use_another_checkpoint, ("slow",)),
    "The version is already published": (publish_again, ()),
}
