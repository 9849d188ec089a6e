"""loaders and c_api: the self-test in a session and in the C API, and modules that only Python's TensorFlow 2 loads."""

import math
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base import png
from pipeline.base.fault import Fault
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import LoaderCheck
from pipeline.proof import c_api, loaders
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.graph import find_xla_calls
from tests.saved_model.models import edit

pytestmark = pytest.mark.slow

SIGNATURES = {"serving_default", "serving_images", "serving_jpeg", "serving_classify", "serving_tokens"}
NAMES = ["cat", "dog", "cow, \u725b"]
ENCODED = {"serving_jpeg", "serving_classify"}
REFUSED = "Failed to bind all placeholders in <Unknown AttrValue type>"


def plain_module(folder: Path) -> None:
    """Writes a module of TensorFlow's own operations with the signatures and the self-test of a published one."""
    import tensorflow as tf

    from pipeline.saved_model import signatures as signatures_module

    classes = Classes("sigmoid", tuple(NAMES))
    module = tf.Module()
    module.kernel = tf.Variable(tf.reshape(tf.range(36.0), (12, 3)) / 10)

    def compute(inputs: Any) -> Any:
        return tf.reshape(inputs, (-1, 12)) @ module.kernel

    def classify(encoded: Any) -> Any:
        return signatures_module.classify(compute(signatures_module.read_images(encoded, 2)), classes)

    encoded, inputs = tf.TensorSpec((None,), tf.string, "encoded"), tf.TensorSpec((None, 2, 2, 3), tf.float32, "inputs")
    signatures = {
        "serving_default": tf.function(lambda inputs: {"logits": compute(inputs)}).get_concrete_function(
            tf.TensorSpec((None, 2, 2, 3), tf.float32, "inputs")
        ),
        "serving_images": tf.function(
            lambda images: {"logits": compute((tf.cast(images, tf.float32) - 127.5) / 127.5)}
        ).get_concrete_function(tf.TensorSpec((None, 2, 2, 3), tf.uint8, "images")),
        "serving_jpeg": tf.function(
            lambda encoded: {"logits": compute(signatures_module.read_images(encoded, 2))}
        ).get_concrete_function(encoded),
        "serving_classify": tf.function(classify).get_concrete_function(encoded),
        "serving_tokens": tf.function(
            lambda inputs: {"tokens": tf.reshape(inputs, (-1, 4, 3)) @ module.kernel[:3]}
        ).get_concrete_function(inputs),
    }
    tf.saved_model.save(module, str(folder), signatures)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), np.uint8)
    inputs = (pixels.astype(np.float32) - 127.5) / 127.5
    outputs = compute(inputs).numpy()
    test = {
        "pixels": pixels,
        "outputs": outputs,
        "tolerance": np.array(1e-5),
        "encoded": np.frombuffer(png.encode(pixels[0]), np.uint8),
        "probabilities": Classes("sigmoid").probabilities(outputs),
        "tokens": inputs.reshape(4, 4, 3) @ module.kernel.numpy()[:3],
    }
    (folder / "assets.extra").mkdir()
    np.savez(folder / "assets.extra/selftest.npz", **test)
    lines = "".join(f"{index}\tkey{index}\t{name}\n" for index, name in enumerate(NAMES))
    (folder / "assets.extra/labels.tsv").write_text(f"index\tkey\tname\n{lines}", encoding="utf-8")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaders") / "module"
    plain_module(folder)
    return folder


@pytest.fixture
def copy(module: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(module, tmp_path / "copy"))


@pytest.fixture(params=[loaders.check_session, c_api.check])
def check(request: pytest.FixtureRequest) -> Callable[[Path], LoaderCheck]:
    """Each of the two loaders, in this process."""
    loader: Callable[[Path], LoaderCheck] = request.param
    return loader


def test_a_good_module_passes(check: Callable[[Path], LoaderCheck], module: Path) -> None:
    result = check(module)
    assert (result.verdict, result.reason, result.tolerance) == (Verdict.PASS, "", 1e-5)
    assert result.max_rel.keys() == SIGNATURES
    assert all(value < 1e-6 for value in result.max_rel.values())


def test_a_published_module_passes_in_a_process_without_python_tensorflow(published: Path) -> None:
    with c_api.start(published / "artifacts/mini/classification") as wait:
        result = wait()
    assert result.verdict is Verdict.PASS, result
    assert result.max_rel.keys() == SIGNATURES - {"serving_tokens"}


def change_selftest(folder: Path, **changes: Any) -> None:
    path = folder / "assets.extra/selftest.npz"
    with np.load(path) as archive:
        test = dict(archive)
    np.savez(path, **test | {name: change(test[name]) for name, change in changes.items()})


@pytest.mark.parametrize("change", [lambda outputs: outputs * 1.001, lambda outputs: outputs * np.nan])
def test_other_outputs_fail(change: Callable[[Any], Any], check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    change_selftest(copy, outputs=change)
    result = check(copy)
    assert (result.verdict, result.reason) == (Verdict.FAIL, "")
    assert result.max_rel.keys() == SIGNATURES


def test_an_attribute_without_a_value_fails(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    """TensorFlow 2's loader in Python ignores it."""
    import tensorflow as tf

    def change(saved_model: Any) -> None:
        for function in saved_model.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                assert not node.attr["has_token_input_output"].b  # the read that inserts

    edit(copy, change)
    assert tf.saved_model.load(str(copy)).signatures
    result = check(copy)
    assert (result.verdict, result.max_rel) == (Verdict.FAIL, {})
    assert result.reason.startswith(REFUSED)


def test_a_missing_signature_fails(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    edit(copy, lambda saved_model: saved_model.meta_graphs[0].signature_def.pop("serving_images"))
    result = check(copy)
    assert (result.verdict, result.max_rel) == (Verdict.FAIL, {})
    assert result.reason.startswith("there is no signature serving_images")


def test_images_that_the_module_refuses_fail(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    change_selftest(copy, pixels=lambda pixels: pixels[:, :1])
    result = check(copy)
    assert result.verdict is Verdict.FAIL
    assert result.reason or result.max_rel["serving_images"] == math.inf  # the C API runs them as fewer images
    assert "\n" not in result.reason


def test_damaged_variables_fail(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    data = copy / "variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    result = check(copy)
    assert result.verdict is Verdict.FAIL
    assert result.reason


def test_a_module_without_a_selftest_is_refused(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    (copy / "assets.extra/selftest.npz").unlink()
    with pytest.raises(Fault, match="the module lacks its self-test; run make convert again"):
        check(copy)


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"outputs": lambda outputs: outputs[:, :2]}, SIGNATURES - {"serving_tokens"}),
        ({"tokens": lambda tokens: tokens[:, :-1]}, {"serving_tokens"}),
        ({"tokens": lambda tokens: tokens * 1.001}, {"serving_tokens"}),
        ({"probabilities": lambda values: values - 1e-3}, {"serving_classify"}),
        ({"encoded": lambda _: np.frombuffer(png.encode(np.zeros((2, 2, 3), np.uint8)), np.uint8)}, ENCODED),
    ],
)
def test_another_result_of_one_way_fails_that_way(
    changes: dict[str, Any], failing: set[str], check: Callable[[Path], LoaderCheck], copy: Path
) -> None:
    change_selftest(copy, **changes)
    result = check(copy)
    assert result.verdict is Verdict.FAIL
    assert {way for way, error in result.max_rel.items() if not error <= 1e-5} == failing


def test_tokens_may_differ_by_their_own_tolerance(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    change_selftest(copy, tokens=lambda tokens: tokens * 1.001)
    path = copy / "assets.extra/selftest.npz"
    with np.load(path) as archive:
        test = dict(archive)
    for tolerance, verdict in ((2e-3, Verdict.PASS), (5e-4, Verdict.FAIL)):
        np.savez(path, **test | {"tokens_tolerance": np.array(tolerance)})
        result = check(copy)
        assert (result.verdict, result.tolerance, result.tokens_tolerance) == (verdict, 1e-5, tolerance)
        assert result.worst[0] == "serving_tokens"
    change_selftest(copy, outputs=lambda outputs: outputs * 1.001, tokens_tolerance=lambda _: np.array(2e-3))
    result = check(copy)
    assert (result.verdict, result.worst[0] in SIGNATURES - {"serving_tokens"}) == (Verdict.FAIL, True)


def test_names_in_another_order_fail(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    path = copy / "assets.extra/labels.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("\tdog", "\tcat", 1), encoding="utf-8")
    result = check(copy)
    assert (result.verdict, result.max_rel["serving_classify"]) == (Verdict.FAIL, math.inf)
    assert {way for way, error in result.max_rel.items() if not error <= 1e-5} == {"serving_classify"}


def test_a_selftest_of_an_earlier_release_has_fewer_ways(check: Callable[[Path], LoaderCheck], copy: Path) -> None:
    path = copy / "assets.extra/selftest.npz"
    with np.load(path) as archive:
        np.savez(path, **{name: archive[name] for name in ("pixels", "outputs", "tolerance")})
    assert check(copy).max_rel.keys() == {"serving_default", "serving_images"}


def test_what_cannot_be_run_does_not_pass(module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of another system has no such library, or one that the system cannot load."""
    monkeypatch.setattr(c_api, "_LIBRARIES", ("libtensorflow_cc.dll",))
    result = c_api.check(module)
    assert (result.verdict, result.max_rel) == (Verdict.NOT_MEASURED, {})
    assert result.reason == "the tensorflow package has no libtensorflow_cc.dll"
    (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"not a library")
    monkeypatch.setattr(c_api, "find_library", lambda: tmp_path / "libtensorflow_cc.so.2")
    result = c_api.check(module)
    assert result.verdict is Verdict.NOT_MEASURED
    assert re.match(r"libtensorflow_cc\.so\.2 cannot be used: ", result.reason)


class Counting:
    """A library whose calls are counted by name."""

    def __init__(self, library: Any) -> None:
        self.library, self.calls = library, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.library, name)


@pytest.mark.parametrize("fails", [False, True])
def test_no_handle_is_left(fails: bool, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = c_api.find_library()
    assert path
    api = c_api.CApi(path)
    counting = Counting(api._library)
    monkeypatch.setattr(api, "_library", counting)
    test = loaders.read_selftest(copy)
    names, way = c_api.tensor_names(copy)["serving_classify"], test.ways()["serving_classify"]
    with api.load(copy) as session:
        if fails:
            with pytest.raises(c_api.CApiError, match="the graph has no operation nothing"):
                session.run(names.inputs["encoded"], way.value, {"logits": "nothing:0"})
            with pytest.raises(c_api.CApiError, match="image"):
                session.run(names.inputs["encoded"], np.array([b"no image"], object), names.outputs)
        else:
            assert way.error(session.run(names.inputs["encoded"], way.value, names.outputs)) < 1e-5
    calls = counting.calls
    for kind in ("Status", "Graph", "SessionOptions"):
        assert calls[f"TF_New{kind}"] == calls[f"TF_Delete{kind}"] == 1
    assert calls["TF_LoadSessionFromSavedModel"] == calls["TF_CloseSession"] == calls["TF_DeleteSession"] == 1
    returned = calls["TF_NumDims"]
    assert calls["TF_DeleteTensor"] == calls["TF_AllocateTensor"] + returned == (1 if fails else 6)
    strings = 1 if fails else 1 + len(NAMES)  # the file, and the names of all three classes
    assert calls["TF_StringDealloc"] == strings


def test_every_call_of_a_converted_module_has_its_attributes(published: Path) -> None:
    """What the C API refuses is nothing that convert writes."""
    from pipeline.saved_model.graph import find_empty_attributes, parse

    for member in ("mini", "rati"):
        folder = published / "artifacts" / member / "classification"
        saved_model = parse((folder / "saved_model.pb").read_bytes(), folder)
        assert list(find_xla_calls(saved_model))
        assert list(find_empty_attributes(saved_model)) == []
