"""What users get: the published files, loaded by the real client, held against what their pages claim."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base import yaml_sections
from pipeline.base.environment import QUICK_XLA_FLAGS
from pipeline.base.heads import Head
from pipeline.cards.hugging_face import for_repository
from pipeline.checkpoints import npz
from pipeline.model.network import select_weights
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from tests.conftest import CLASSES, ROOT, make, serving_folder
from tests.mirrors.hugging_face_server import HuggingFace, Repository
from tests.server.harness import running
from tests.serving.stand_in import load_models, stand_in
from tests.snippets import (
    accuracies,
    blocks_of,
    code_blocks,
    run_scripts,
    run_shell,
    tuning,
    untuned,
    watched,
    write_folders,
    write_image,
)

pytestmark = pytest.mark.slow

DEMO = ROOT / "model_cards/demo"
README_HANDLE = "http://localhost:8080/vit-publisher/vit_demo_classification/2"


@dataclass(frozen=True)
class Hub:
    """A published vit_demo, served as a static host would."""

    folder: Path
    address: str
    artifacts: Path

    def card(self, head: str) -> str:
        return (self.folder / f"vit-publisher/vit_demo_{head}/2.md").read_text()

    def handle(self, head: str) -> str:
        return f"{self.address}/vit-publisher/vit_demo_{head}/2.tar.gz"

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.artifacts / "vit_demo/report.json").read_text())
        return report


@pytest.fixture(scope="module")
def demo_hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """`make publish MODEL=vit_demo` as a newcomer runs it, but for the folders and the address.

    `make test` compiles quickly; `make check-full` as users do.
    """
    folder = tmp_path_factory.mktemp("demo")
    publish, _ = re.findall(r"^make (.*?) +#", blocks_of("README.md", "sh")[0], re.MULTILINE)
    (folder / "hub").mkdir()
    with serving_folder(folder / "hub") as address:
        done = make(
            ROOT,
            *publish.split(),
            f"ARTIFACTS={folder}/artifacts",
            f"HUB={folder}/hub",
            f"HUB_URL={address}",
            XLA_FLAGS="" if request.config.getoption("long") else QUICK_XLA_FLAGS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for stage in ("fetch", "convert", "validate", "card", "package", "publish"):
            assert re.search(
                rf"^{stage} vit_demo.*: \d+\.\d s, peak memory \d+\.\d\d GB$", done.stderr, re.MULTILINE
            ), stage
        hub = Hub(folder / "hub", address, folder / "artifacts")
        lines = re.findall(r"^validate vit_demo: +\d+\.\d s  (?:pass|-   )  .+$", done.stderr, re.MULTILINE)
        assert len(lines) == len(hub.report["ladder"])  # a line for each check
        yield hub


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client caches by handle, for ever; a port may come back with another hub behind it."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))


def test_the_classifier_reaches_the_accuracy_its_card_states(demo_hub: Hub) -> None:
    import tensorflow as tf
    import tensorflow_hub

    model = tensorflow_hub.load(demo_hub.handle("classification"))
    keys = [line.split("\t")[0] for line in (DEMO / "fashion_mnist.tsv").read_text().splitlines()]
    hits = []
    for index, key in enumerate(keys):
        files = sorted((DEMO / "fashion_mnist_test" / key).iterdir())
        assert len(files) == 100
        images = np.stack([np.asarray(Image.open(path).convert("RGB"), np.float32) for path in files])
        logits = model((tf.constant(images) - 127.5) / 127.5).numpy()
        hits.append(logits.argmax(axis=1) == index)
    top1 = float(np.mean(hits))
    assert top1 >= 0.88
    assert top1 == demo_hub.report["accuracy"]["measured"]["top1"]
    assert f"| top-1 accuracy | {100 * top1:.2f} % (95 % interval" in demo_hub.card("classification")


@pytest.mark.parametrize("head", ["classification", pytest.param("fe", marks=pytest.mark.long)])
def test_every_snippet_of_the_card_runs_as_printed(demo_hub: Hub, head: str, tmp_path: Path) -> None:
    card = demo_hub.card(head)
    tf_hub, alone, files, *of_formats = untuned(code_blocks(card))
    assert len(of_formats) == (2 if "## Other formats" in card else 0)  # LiteRT and ONNX
    lines = run_scripts(tmp_path, tf_hub, alone, files, *of_formats)
    if head == "fe":
        assert lines == ["(1, 64)", "(1, 64)", "(1, 64)", "(1, 50, 64)", *["(1, 64)"] * len(of_formats)]
    else:
        first = demo_hub.report["accuracy"]["measured"]["examples"][0]["true"]["name"]
        assert lines[0].endswith(first), lines  # the sample picture that the snippets download
        assert lines[5] == "(1, 10)"
        assert lines[6:11] == lines[:5]  # the classes that serving_classify names
        assert lines[11:] == ["(1, 10)"] * len(of_formats)


@pytest.mark.parametrize(
    ("head", "library", "file"),
    [
        ("fe", "keras", "2.tar.gz"),
        pytest.param("fe", "tf_keras", "2/plain.tar.gz", marks=pytest.mark.long),
        pytest.param("fe", "tf_keras", "2.tar.gz", marks=pytest.mark.long),
        pytest.param("classification", "keras", "2.tar.gz", marks=pytest.mark.long),
        pytest.param("classification", "tf_keras", "2.tar.gz", marks=pytest.mark.long),
    ],
)
def test_a_card_s_fine_tuning_ends_with_a_model_of_its_own(
    demo_hub: Hub, head: str, library: str, file: str, tmp_path: Path
) -> None:
    """Every step of the snippet, as printed; then another process without the module and the cache of the client."""
    keras, tf_keras, reload = tuning(code_blocks(demo_hub.card(head)))
    write_folders(tmp_path)
    variables = demo_hub.report["modules"][head]["fine_tuning"]["variables"]
    snippet = {"keras": keras, "tf_keras": tf_keras}[library]
    address = demo_hub.handle(head)
    assert address in snippet
    snippet = snippet.replace(address, address.removesuffix("2.tar.gz") + file)
    (accuracy,) = accuracies(run_scripts(tmp_path, watched(snippet, variables)))
    assert accuracy >= 0.8  # of four kinds of garments
    assert_is_complete(tmp_path, reload)


def assert_is_complete(folder: Path, reload: str) -> None:
    """Asserts that a process of its own can use the folder `tuned`, moved, when all that it was made from is gone."""
    (elsewhere := folder / "elsewhere").mkdir()
    for name in ("tfhub", "hf"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "tuned").rename(elsewhere / "tuned")
    assert run_scripts(elsewhere, "import sys", reload) == ["(1, 4)"]
    assert not (elsewhere / "tfhub").exists()


@pytest.mark.parametrize("head", ["classification", pytest.param("fe", marks=pytest.mark.long)])
def test_a_copy_is_verified_as_the_card_says(demo_hub: Hub, head: str, tmp_path: Path) -> None:
    *_, script = code_blocks(demo_hub.card(head), "sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{demo_hub.report['modules'][head]['content_sha256']}  -"


@pytest.mark.long
def test_the_snippets_of_the_other_dialects_run(demo_hub: Hub, tmp_path: Path) -> None:
    """Those for Hugging Face load the module from its repository there, those for Kaggle from a folder."""
    member, host, blocks = demo_hub.artifacts / "vit_demo", HuggingFace(), {}
    for head in ("classification", "fe"):
        page = for_repository((member / f"{head}.huggingface.md").read_text(), f"some-org/vit_demo_{head}")
        blocks[head] = code_blocks(page)
        folder = member / head
        tree = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        repository = host.repositories[f"some-org/vit_demo_{head}"] = Repository()
        repository.tags["v2"] = repository.add(tree | {"README.md": page.encode()})
        repository.add({"README.md": b"of a later version"})
    classify, serve, name = untuned(blocks["classification"])
    features, _, tokens = untuned(blocks["fe"])
    usage = json.loads((member / "kaggle/fe/model-instance-metadata.json").read_text())["usage"]
    kaggle = [re.sub(r"kagglehub\.model_download\(.*?\)", repr(str(member / "fe")), it) for it in code_blocks(usage)]
    with host.running() as address:
        settings = {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf")}
        scripts = [classify, name, serve, features, tokens, *untuned(kaggle)]
        lines = run_scripts(tmp_path, *scripts, settings=settings)
        for name, (tune, reload) in {"of_hf": tuning(blocks["fe"]), "of_kaggle": tuning(kaggle)}.items():
            write_folders(tmp_path / name)
            (accuracy,) = accuracies(run_scripts(tmp_path / name, watched(tune, 102), settings=settings))
            assert accuracy >= 0.8
            assert_is_complete(tmp_path / name, reload)
    assert lines[0].endswith("Bag"), lines
    assert lines[5:10] == lines[:5]
    of_tokens = ["(1, 64)", "(1, 50, 64)"]
    assert lines[10:] == ["(1, 10)", "(1, 64)", *of_tokens, "(1, 64)", *of_tokens]


# The accuracy of docs/fine_tuning.md's model on its test images, in a process that has nothing else of it.
ACCURACY_AGAIN = """
from pathlib import Path
import tensorflow as tf
model = tf.saved_model.load("tuned")
names = sorted(path.name for path in Path("turned/test").iterdir())
hits = []
for index, name in enumerate(names):
    files = [tf.io.decode_png(tf.io.read_file(str(path)), 3) for path in Path("turned/test", name).iterdir()]
    hits.extend(tf.argmax(model.serve(tf.cast(tf.stack(files), tf.float32)), axis=1).numpy() == index)
print(f"{sum(hits) / len(hits):.2%}", len(hits))
"""

# After the part of that page's snippet which builds the model: another model with the weights of the first.
CONTINUED = """
import numpy as np
import tensorflow as tf
images = next(iter(test))[0]
loaded = tf.saved_model.load("tuned")
exported = loaded.serve(images)
assert np.abs(model(images) - exported).max() > 0.1
model.load_weights("tuned.weights.h5")
assert np.abs(model(images) - exported).max() < 1e-3
"""


@pytest.mark.long
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_the_guide_to_fine_tuning_reaches_the_accuracies_that_it_states(
    demo_hub: Hub, library: str, tmp_path: Path
) -> None:
    page = (ROOT / "docs/fine_tuning.md").read_text(encoding="utf-8")
    images, keras, use, tf_keras = blocks_of("docs/fine_tuning.md")
    tune, name = {"keras": (keras, "Keras 3"), "tf_keras": (tf_keras, "tf_keras")}[library]
    address = "http://localhost:8080/vit-publisher/vit_demo_fe/2"
    assert tune.count(address) == 1
    (tmp_path / "model_cards").symlink_to(ROOT / "model_cards")
    lines = run_scripts(tmp_path, images, tune.replace(address, demo_hub.handle("fe")))
    probe, tuned = map(float, re.findall(r"(\d+\.\d\d)%", lines[-1]))
    (stated,) = re.findall(rf"^\| {name} \| (.*?) % \| (.*?) % \|", page, re.MULTILINE)
    assert probe == pytest.approx(float(stated[0]), abs=2)
    assert tuned == pytest.approx(float(stated[1]), abs=2)
    assert tuned > probe + 5
    build, _ = tune.replace(address, demo_hub.handle("fe")).split("\n\n\ndef fit(")
    run_scripts(tmp_path, build + CONTINUED)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for part in ("tuned", "turned"):
        (tmp_path / part).rename(elsewhere / part)
    shutil.rmtree(tmp_path / "tfhub")
    turn, again = run_scripts(elsewhere, use, ACCURACY_AGAIN)
    assert turn in ("0", "90", "180", "270")
    assert again == f"{tuned:.2f}% 400"


def test_the_requests_of_the_guide_to_serving_are_answered(demo_hub: Hub, tmp_path: Path) -> None:
    """As printed, with the plain twin of the hub, by the stand-in for the server."""
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    download, docker, *requests = blocks_of("docs/serving.md", "sh")
    assert docker.startswith("docker run ")
    write_image(tmp_path)
    run_shell(tmp_path, download.replace("http://localhost:8080", demo_hub.address))
    with stand_in(tmp_path / "models") as address:
        answers = [run_shell(tmp_path, each.replace("http://localhost:8501", address)) for each in requests]
    health, classify, classes, files, numbers = answers
    assert json.loads(health) == json.loads(*blocks_of("docs/serving.md", "json"))
    (answer,) = json.loads(classify)["predictions"]
    assert answer["top_classes"][0] == "Bag"
    assert classes == f"{answer['top_classes']}\n"
    assert len(answer["probabilities"]) == len(json.loads(numbers)["predictions"][0]) == 10
    assert np.shape(json.loads(files)["outputs"]) == (2, 10)
    np.testing.assert_allclose(json.loads(files)["outputs"][1], answer["logits"], atol=1e-4)
    wrong = requests[-1].replace("* 28]", "* 27]").replace("curl -fsS", "curl -sS")
    with stand_in(tmp_path / "models") as address:
        refusal = json.loads(run_shell(tmp_path, wrong.replace("http://localhost:8501", address)))["error"]
    words = "not compatible with expected shape"
    assert f"`{words}`" in page
    assert words in refusal


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Protobuf gencode version:UserWarning")
def test_grpc_and_warm_up_of_the_guide_to_serving(demo_hub: Hub, tmp_path: Path) -> None:
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", exc_type=ImportError)
    import tensorflow as tf

    from tests.serving.grpc_stand_in import grpc_stand_in, predict

    ask, warm_up = blocks_of("docs/serving.md")
    folder = tmp_path / "models/vit/2"
    folder.mkdir(parents=True)
    with tarfile.open(demo_hub.folder / "vit-publisher/vit_demo_classification/2/plain.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    with load_models(tmp_path / "models") as models, grpc_stand_in(models) as address:
        (names,) = run_scripts(tmp_path, ask.replace("localhost:8500", address), warm_up)
        assert ast.literal_eval(names)[0] == "Bag"
        records = list(tf.data.TFRecordDataset(str(folder / "assets.extra/tf_serving_warmup_requests")))
        for images, record in zip((1, 8, 32), records, strict=True):
            request = log.PredictionLog.FromString(record.numpy()).predict_log.request
            assert predict(request, models).outputs["logits"].tensor_shape.dim[0].size == images


def test_the_published_hub_passes_its_audit(demo_hub: Hub) -> None:
    done = make(ROOT, "check-hub", f"ARTIFACTS={demo_hub.artifacts}", f"HUB={demo_hub.folder}")
    assert done.returncode == 0, done.stderr
    assert "2 modules, 0 collections, nothing wrong" in done.stderr
    for head in ("classification", "fe"):
        assert f"<!-- asset-path: {demo_hub.handle(head)} -->" in demo_hub.card(head)


def test_the_tarball_is_as_tf_hub_wants_it(demo_hub: Hub) -> None:
    for head in ("classification", "fe"):
        with tarfile.open(demo_hub.folder / f"vit-publisher/vit_demo_{head}/2.tar.gz") as archive:
            names = archive.getnames()
        labels = ["assets.extra/labels.tsv"] if head == "classification" else []
        variables = ["variables/variables.data-00000-of-00001", "variables/variables.index"]
        others = ["assets.extra/provenance.json", "assets.extra/selftest.npz", "assets.extra/selftest.py"]
        extra = ["assets.extra", *labels, *others]
        assert names == [*extra, "variables", *variables, "saved_model.pb"]


def test_the_module_betrays_nothing_of_this_machine(demo_hub: Hub) -> None:
    graph = (demo_hub.artifacts / "vit_demo/classification/saved_model.pb").read_bytes()
    report = (demo_hub.folder / "vit-publisher/vit_demo_classification/2/report.json").read_bytes()
    for trace in (str(ROOT), str(demo_hub.artifacts), "site-packages", "/home/", "/root/"):
        assert trace.encode() not in graph
        assert trace.encode() not in report


@pytest.fixture(scope="module", params=["mini", pytest.param("rati", marks=pytest.mark.long)])
def saved_model(request: pytest.FixtureRequest, published: Path) -> tuple[str, Path]:
    """A member of the tiny collection, plain and hybrid, and its folder of outputs."""
    return request.param, published / "artifacts" / request.param


def test_interface_of_a_reusable_saved_model(saved_model: tuple[str, Path], published: Path) -> None:
    import tensorflow as tf

    member, folder = saved_model
    size, width = (16 if member == "mini" else 32), 32
    with np.load(published / f"model_cards/tiny/{member}.npz") as archive:
        checkpoint = {name: archive[name] for name in archive.files}
    for head, outputs in (("classification", len(CLASSES)), ("fe", width)):
        module = tf.saved_model.load(str(folder / head))
        names = {variable.name.removesuffix(":0"): variable for variable in module.variables}
        expected = {name for name in checkpoint if head == "classification" or not name.startswith("head/")}
        assert set(names) == expected
        for name, variable in names.items():
            assert variable.numpy().tobytes() == checkpoint[name].tobytes()
        assert len(module.trainable_variables) == len(names)
        assert module.regularization_losses == []
        rng = np.random.default_rng(0)
        for n in (1, 7):  # TensorFlow compiles each function for each batch size
            images = tf.constant(rng.uniform(-1, 1, (n, size, size, 3)), tf.float32)
            result = module(images)
            assert result.shape == (n, outputs)
            for training in (False, True):
                np.testing.assert_array_equal(module(images, training=training), result)
            signature = module.signatures["serving_default"](inputs=images)
            name = "logits" if head == "classification" else "features"
            np.testing.assert_array_equal(signature[name], result)


def test_a_wrong_shape_is_refused_by_the_module(saved_model: tuple[str, Path]) -> None:
    import tensorflow as tf

    module = tf.saved_model.load(str(saved_model[1] / "classification"))
    for wrong in (tf.zeros((1, 15, 15, 3)), tf.zeros((1, 16, 16, 1)), tf.zeros((16, 16, 3))):
        with pytest.raises(ValueError, match="Could not find matching concrete function"):
            module(wrong)
    size = module.signatures["serving_default"].structured_input_signature[1]["inputs"].shape[1]
    words = rf"Shape of tensor inputs \[1,15,15,3\] is not compatible with expected shape \[\?,{size},{size},3\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        module.signatures["serving_default"](inputs=tf.zeros((1, 15, 15, 3)))
    for shape in ((15, 15, 3), (1, 15, 15, 4), (1, 15, 15, 1)):
        given = ",".join(map(str, shape))
        words = rf"Shape of tensor images \[{given}\] is not compatible with expected shape \[\?,\?,\?,3\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            module.signatures["serving_images"](images=tf.zeros(shape, tf.uint8))


def test_reports_show_tensorflow_and_jax_agree(published: Path) -> None:
    for member, tolerance, of_tokens in (("mini", 1e-5, 1e-5), ("rati", 5e-5, 1e-4)):
        report = json.loads((published / f"artifacts/{member}/report.json").read_text())
        for head in ("classification", "fe"):
            checks = report["modules"][head]
            assert checks["parity"]["tolerance"] == checks["batch_sizes"]["tolerance"] == tolerance
            assert 0 < checks["parity"]["max_rel"] <= tolerance
            assert max(checks["batch_sizes"]["max_rel"].values()) <= tolerance
            assert checks["weights"]["verdict"] == "pass"
        checks = report["modules"]["fe"]
        limits = [checks["tokens"]["tolerance"]]
        limits += [checks[rung]["tokens_tolerance"] for rung in ("selftest", "session", "c_api")]
        assert limits == [of_tokens] * 4


@pytest.mark.long  # validate compares them, too
@pytest.mark.parametrize("saved_model", ["mini", "rati"], indirect=True)
@pytest.mark.parametrize("head", Head)
def test_gradients_equal_those_of_the_jax_model_and_a_step_lowers_the_loss(
    published: Path, saved_model: tuple[str, Path], head: Head
) -> None:
    import jax
    import tensorflow as tf

    member, folder = saved_model
    model = yaml_sections.load(published / f"model_cards/tiny/{member}.yaml", "model", Model)
    network = open_network(model, folder)
    arrays = select_weights(network, npz.load(folder / "checkpoint.npz", network).arrays, head)
    images = np.random.default_rng(0).uniform(-1, 1, (4, model.image_size, model.image_size, 3)).astype(np.float32)
    target = np.array([0, 1, 2, 0])

    def jax_loss(parameters: dict) -> jax.Array:
        outputs = jax.nn.log_softmax(network.outputs(head, parameters, images))
        return -outputs[np.arange(4), target].mean()

    expected = jax.grad(jax_loss)(arrays)
    module = tf.saved_model.load(str(folder / head))

    def loss() -> Any:
        outputs = module(images, training=True)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, outputs))

    with tf.GradientTape() as tape:
        before = loss()
    gradients = tape.gradient(before, module.trainable_variables)
    largest = max(float(np.abs(value).max()) for value in expected.values())
    assert sorted(variable.name.removesuffix(":0") for variable in module.trainable_variables) == sorted(expected)
    for variable, gradient in zip(module.trainable_variables, gradients, strict=True):
        # Some are zero but for rounding: a bias of all keys alike changes no attention.
        value = np.asarray(expected[variable.name.removesuffix(":0")])
        allowed = 1e-3 * np.abs(value).max() + 1e-6 * largest
        np.testing.assert_allclose(gradient, value, rtol=0, atol=allowed, err_msg=variable.name)
        variable.assign_sub(1e-3 * gradient)
    assert loss() < before


def test_tensorflow_hub_loads_from_the_server(published: Path, tmp_path: Path) -> None:
    """By handle, also without a version, as a tarball from our server and from a static one, and as the README does."""
    import tensorflow_hub
    from tensorflow_hub.uncompressed_module_resolver import HttpUncompressedFileResolver

    hub = published / "artifacts/hub"
    with running(hub, "gs://bucket") as here, serving_folder(hub) as static:
        module, images = f"{here.address}/tester/mini_classification", np.ones((1, 16, 16, 3), np.float32)
        outputs = [
            tensorflow_hub.load(address)(images).numpy().tolist()
            for address in (
                f"{module}/1",
                module,
                f"{module}/1.tar.gz",
                f"{static}/tester/mini_classification/1.tar.gz",
            )
        ]
        (load,) = blocks_of("README.md")
        assert load.count(README_HANDLE) == 1
        variables: dict[str, Any] = {}
        exec(load.replace(README_HANDLE, f"{module}/1"), variables)
        outputs.append(variables["model"](images).numpy().tolist())
        location = HttpUncompressedFileResolver()._request_gcs_location(f"{module}/1?tf-hub-format=uncompressed")
    assert len(outputs[0][0]) == 3
    assert outputs == [outputs[0]] * 5
    assert location == "gs://bucket/tester/mini_classification/1"
    cached = [path for path in (tmp_path / "tfhub").iterdir() if "." not in path.name]
    assert len(cached) == 4  # the client caches by address and never looks again, even without a version
