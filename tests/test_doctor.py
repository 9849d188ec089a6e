"""doctor: models as jax2tf, convert and TensorFlow write them, and a model with each fault."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.package import package
from pipeline.saved_model import computation, runtimes
from pipeline.saved_model.graph import saved_model_class
from pipeline.saved_model.inspection import find_faults, inspect_saved_model
from pipeline.saved_model.portable import CALLING_CONVENTION, PLATFORMS, make_portable
from tests.conftest import ROOT, Stage, assert_refused, make

pytestmark = pytest.mark.slow


def save_jax(folder: Path, portable: bool) -> None:
    """Saves a JAX function of one float32 (3, 2) variable as jax2tf writes it, or made portable as convert does."""
    import jax
    import numpy as np
    import tensorflow as tf
    from jax.experimental import jax2tf

    module = tf.train.Checkpoint()
    module.v = tf.Variable(np.ones((3, 2), np.float32))
    before = jax.config.jax_export_calling_convention_version
    if portable:
        jax.config.update("jax_export_calling_convention_version", CALLING_CONVENTION + 1)
    try:
        converted = jax2tf.convert(
            lambda v, x: jax.nn.softmax(x @ v),
            polymorphic_shapes=[None, "(n, 3)"],
            native_serialization_platforms=PLATFORMS if portable else None,
        )
        spec = [tf.TensorSpec((None, 3), tf.float32, name="x")]
        call = tf.function(lambda x: {"y": converted(module.v, x)}, input_signature=spec, autograph=False)
        module.f = call
        tf.saved_model.save(module, str(folder), call.get_concrete_function())
    finally:
        jax.config.update("jax_export_calling_convention_version", before)
    if portable:
        make_portable(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only folder of SavedModels: plain (jax2tf), ours (made portable), tensorflow (without JAX)."""
    from pipeline.saved_model.load import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    save_jax(folder / "plain", portable=False)
    save_jax(folder / "ours", portable=True)
    module = tf.Module()
    module.v = tf.Variable(tf.ones((3, 2)), trainable=False)
    spec = tf.TensorSpec((None, 3), tf.float32)
    module.f = tf.function(lambda x: x @ module.v, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder / "tensorflow"), module.f)
    return folder


@pytest.fixture
def ours(models: Path, tmp_path: Path) -> Path:
    """A writable copy of a portable model."""
    shutil.copytree(models / "ours", tmp_path / "ours")
    return tmp_path / "ours"


def calls(saved_model: Any) -> Iterable[Any]:
    """Yields the XlaCallModule nodes."""
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        yield from (node for node in function.node_def if node.op == "XlaCallModule")


def edit(folder: Path, change: Callable[[Any], None]) -> None:
    saved_model = saved_model_class().FromString((folder / "saved_model.pb").read_bytes())
    change(saved_model)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())


def faults_of(path: Path) -> dict[str, str]:
    """Returns the texts of a model's faults by kind; each starts with the model's path."""
    findings = find_faults(inspect_saved_model(path))
    assert all(finding.text.startswith(f"{path}: ") for finding in findings)
    assert len({finding.kind for finding in findings}) == len(findings)
    return {finding.kind: finding.text for finding in findings}


# Models without faults ------------------------------------------------------------------------------------------------
def test_a_portable_model_has_no_faults(models: Path) -> None:
    model = inspect_saved_model(models / "ours")
    assert find_faults(model) == []
    assert (model.tensorflow, model.platforms, model.conventions) == ("2.14", ("cpu", "cuda", "tpu"), (8,))
    assert {(one.stablehlo, one.features, one.debug_info) for one in model.computations} == {("0.9.0", "0.9.0", False)}
    assert len(model.computations) == 2  # forward and gradient
    assert {call for one in model.computations for call in one.custom_calls} == {"shape_assertion"}
    assert model.gradients is True
    assert model.variables is not None
    assert (model.variables.count, model.variables.bytes, model.variables.trainable) == (2, 24 + 8, 1)  # and a counter
    signature = model.signatures["serving_default"]
    assert signature.inputs["x"].shape == (None, 3)
    assert (signature.outputs["y"].dtype, signature.outputs["y"].shape) == ("float32", (None, 2))
    assert model.written_by.startswith("2.")
    assert model.paths == ()


def test_a_plain_jax2tf_model_has_four_faults(models: Path) -> None:
    model = inspect_saved_model(models / "plain")
    assert model.tensorflow == "2.20"
    assert model.platforms == ("cpu",)
    assert model.conventions == (10,)
    assert model.gradients is True  # TensorFlow 2.21 saves them by default
    assert any(path.endswith("tests/test_doctor.py") for path in model.paths)
    faults = faults_of(models / "plain")
    assert set(faults) == {"tensorflow", "platforms", "debug_info", "paths"}
    assert (
        "needs TensorFlow 2.20 because of calling convention 10 (2.20), StableHLO features of 1.9.0 (2.19), ranges"
        in faults["tensorflow"]
    )
    assert "lowered for cpu only, cuda and tpu missing" in faults["platforms"]
    assert "have debug information" in faults["debug_info"]


def test_a_model_without_jax_has_no_faults(models: Path) -> None:
    model = inspect_saved_model(models / "tensorflow")
    assert find_faults(model) == []
    assert (model.tensorflow, model.platforms, model.gradients, model.computations) == (None, None, None, ())
    assert 0 < model.min_consumer < model.producer
    assert model.variables is not None
    assert (model.variables.count, model.variables.bytes, model.variables.trainable) == (1, 24, 0)


def test_a_published_member_has_no_faults(published: Path, stage: Stage) -> None:
    folder = published / "artifacts/rati"
    done = stage("doctor", folder / "classification", folder / "fe", folder / "classification.tar.gz")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("TensorFlow                2.14 or newer") == 3
    assert done.stdout.count("faults:\n  none") == 3
    assert "labels.tsv" not in done.stdout
    made = make(published, "doctor", "MODEL=mini", "COLLECTION=tiny")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("faults:\n  none") == 2


def test_reading_a_model_neither_starts_nor_breaks_tensorflow(models: Path) -> None:
    """In a process of its own: reads a model, imports TensorFlow and loads the model, then reads it again."""
    script = f"""
import sys
from pathlib import Path
from pipeline.saved_model.inspection import inspect_saved_model
before = inspect_saved_model(Path({str(models / "ours")!r}))
assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "jax")]
from pipeline.saved_model.load import start_tensorflow
start_tensorflow()
import tensorflow as tf
module = tf.saved_model.load({str(models / "ours")!r})
assert module.f(tf.ones((4, 3)))["y"].shape == (4, 2)
assert inspect_saved_model(Path({str(models / "ours")!r})) == before
"""
    done = subprocess.run(
        [sys.executable, "-W", "error:::pipeline", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Faults of a model ----------------------------------------------------------------------------------------------------
def set_convention(number: int) -> Callable[[Any], None]:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["version"].i = number

    return change


def drop_tpu(saved_model: Any) -> None:
    del next(iter(calls(saved_model))).attr["platforms"].list.s[2]


def set_token_effect(saved_model: Any) -> None:
    next(iter(calls(saved_model))).attr["has_token_input_output"].b = True


def prevent_gradients(saved_model: Any) -> None:
    """Adds the node that jax2tf writes for a function converted with with_gradient=False."""
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        if any(node.op == "XlaCallModule" for node in function.node_def):
            function.node_def.add(name="prevented", op="PreventGradient")


def drop_gradients(saved_model: Any) -> None:
    del saved_model.meta_graphs[0].graph_def.library.registered_gradients[:]


def drop_marks(saved_model: Any) -> None:
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.attr.pop("_gradient_op_type", None)


def damage_module(saved_model: Any) -> None:
    node = next(iter(calls(saved_model)))
    node.attr["module"].s = node.attr["module"].s[:-50]


def drop_signature(saved_model: Any) -> None:
    signatures = saved_model.meta_graphs[0].signature_def
    signatures["other"].CopyFrom(signatures.pop("serving_default"))


def leak(path: bytes) -> Callable[[Any], None]:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["_origin"].s = path

    return change


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            set_convention(9),
            "tensorflow",
            "it needs TensorFlow 2.16 because of calling convention 9 (2.16), expected 2.14",
        ),
        (set_convention(11), "tensorflow", "it needs TensorFlow newer than 2.21 because of calling convention 11"),
        (drop_tpu, "platforms", "it is lowered for cpu and cuda only, tpu missing"),
        (set_token_effect, "effects", "it has side effects (has_token_input_output), expected none"),
        (
            prevent_gradients,
            "gradients",
            "1 of 2 variables are trainable, but the gradients of the JAX function are not saved",
        ),
        (
            drop_gradients,
            "gradients",
            "1 of 2 variables are trainable, but the gradients of the JAX function are not saved",
        ),
        (
            drop_marks,
            "gradients",
            "the gradients of the JAX function are not saved; convert with with_gradient=True",
        ),
        (damage_module, "module", "1 of 3 StableHLO modules cannot be parsed (attempting to parse"),
        (drop_signature, "signature", "there is no signature serving_default, got other; pass signatures="),
        (
            leak(b"/home/ann/vit.py"),
            "paths",
            "contains paths of its author's machine (/home/ann/vit.py), expected none",
        ),
        (leak(b"/opt/models/train.ipynb"), "paths", "(/opt/models/train.ipynb)"),
        (leak(rb"C:\Users\ann\weights"), "paths", r"(C:\Users\ann\weights)"),
    ],
)
def test_each_fault_is_found_and_no_other(ours: Path, change: Callable[[Any], None], kind: str, message: str) -> None:
    edit(ours, change)
    faults = faults_of(ours)
    assert set(faults) == {kind}
    assert message in faults[kind]


def test_gradients_are_not_needed_without_trainable_variables(ours: Path) -> None:
    def change(saved_model: Any) -> None:
        drop_gradients(saved_model)
        for node in saved_model.meta_graphs[0].object_graph_def.nodes:
            node.variable.trainable = False if node.HasField("variable") else node.variable.trainable

    edit(ours, change)
    assert faults_of(ours) == {}


def test_missing_variables_are_found(ours: Path) -> None:
    (ours / "variables/variables.index").unlink()
    assert "2 variables are declared, but variables/variables.index is missing" in faults_of(ours)["variables"]


def test_other_names_are_not_paths(ours: Path) -> None:
    for text in (b"/job:localhost/replica:0/task:0/device:CPU:0", b"Transformer/encoderblock_0/scale", b"a/b.python"):
        edit(ours, leak(text))
        assert faults_of(ours) == {}


# Requirements of a StableHLO module -----------------------------------------------------------------------------------
def exported(function: Callable[..., Any]) -> bytes:
    """Returns the module that jax exports for a function of one float32 (4, 4) array."""
    import jax
    import jax.numpy as jnp
    from jax import export

    serialized: bytes = export.export(
        jax.jit(function), disabled_checks=[export.DisabledSafetyCheck.custom_call("callback")]
    )(jax.ShapeDtypeStruct((4, 4), jnp.float32)).mlir_module_serialized
    return serialized


ADD = "stablehlo.add %a, %a : TYPE"
TAN = "stablehlo.tan %a : TYPE"
CALL = "stablehlo.custom_call @NAME(%a) {has_side_effect = true} : (TYPE) -> TYPE"
TOKEN, TOKENS = "stablehlo.after_all %a : TYPE", "!stablehlo.token"


def written(operation: str, version: str, location: str = "unknown", kind: str = "tensor<4xf32>") -> bytes:
    """Returns a module whose main is one operation on %a, serialized for a StableHLO version."""
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo as dialect

    body = f"%b = {operation} loc(LOC) return %b : TYPE loc(LOC)"
    text = f"module {{ func.func @main(%a: TYPE loc(LOC)) -> TYPE {{ {body} }} loc(LOC) }} loc(LOC)"
    with make_ir_context():
        parsed = ir.Module.parse(text.replace("TYPE", kind).replace("LOC", location))
        serialized: bytes = dialect.serialize_portable_artifact(parsed, version)
        return serialized


@pytest.mark.parametrize(("version", "features"), [("0.9.0", "0.9.0"), ("0.14.3", "0.14.0"), ("1.17.0", "0.15.0")])
def test_the_features_count_and_not_the_header(version: str, features: str) -> None:
    """TensorFlow 2.16 with StableHLO 0.17.7 was measured to run such modules with the header 1.0.0."""
    module = computation.read(written(ADD, version))
    assert (module.stablehlo, module.features, module.problem) == (version, features, "")
    assert not module.debug_info


def test_a_newer_operation_requires_a_newer_tensorflow() -> None:
    module = computation.read(written(TAN, "1.5.0"))
    assert module.features == "1.4.0"
    assert module.requirements() == {"StableHLO features of 1.4.0": "2.18"}


@pytest.mark.parametrize(
    ("location", "ranges"),
    [('"a.py":1:2', False), ('"name"', False), ('"a.py":1:2 to 3:4', True), ('"a.py":1:2 to :4', True)],
)
def test_debug_locations_are_found(location: str, ranges: bool) -> None:
    module = computation.read(written(ADD, "0.9.0", location))
    assert module.debug_info
    assert module.ranges is ranges
    assert ("ranges in its debug locations" in module.requirements()) is ranges


@pytest.mark.parametrize(
    ("operation", "kind", "effects", "foreign"),
    [
        (CALL.replace("NAME", "shape_assertion"), "tensor<4xf32>", (), ()),
        (CALL.replace("NAME", "printer"), "tensor<4xf32>", ("custom call printer",), ("printer",)),
        (TOKEN, TOKENS, ("tokens of main",), ()),
        (ADD, "tensor<4xf32>", (), ()),
    ],
)
def test_effects_and_custom_calls_are_found(
    operation: str, kind: str, effects: tuple[str, ...], foreign: tuple[str, ...]
) -> None:
    module = computation.read(written(operation, "0.9.0", kind=kind))
    assert (module.effects, module.foreign_calls()) == (effects, foreign)


def test_custom_calls_and_composites_that_jax_exports() -> None:
    import jax
    import jax.numpy as jnp

    assert computation.read(exported(jnp.linalg.cholesky)).foreign_calls() == ("lapack_spotrf_ffi",)
    top = computation.read(exported(lambda x: jax.lax.top_k(x, 2)[0]))
    assert top.composite
    assert top.requirements()["the operation composite"] == "2.18"


def test_effects_and_custom_calls_become_faults(ours: Path) -> None:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["module"].s = written(CALL.replace("NAME", "printer"), "0.9.0")

    edit(ours, change)
    faults = faults_of(ours)
    assert set(faults) == {"effects", "custom_calls"}
    assert "it calls printer, which TensorFlow does not have" in faults["custom_calls"]
    assert "has side effects (custom call printer)" in faults["effects"]


def test_damaged_modules_are_problems() -> None:
    whole = written(CALL.replace("NAME", "printer"), "0.9.0")
    for damaged in (b"garbage", b"", whole[:-9], whole.replace(b"printer", b"prin\xff\xfer")):
        module = computation.read(damaged)
        assert module.problem
        assert module.effects == ()
    assert computation.read(b"garbage").requirements() == {}
    assert computation.read(whole[:-9]).requirements() == {"StableHLO features of 0.9.0": "2.14"}


@pytest.mark.parametrize(
    ("version", "tensorflow"),
    [
        ("0.9.0", "2.14"),
        ("0.14.8", "2.14"),
        ("0.14.9", "2.15"),
        ("0.15.0", "2.16"),
        ("1.0.0", "2.17"),
        ("1.13.7", "2.21"),
    ],
)
def test_the_table_gives_the_oldest_tensorflow(version: str, tensorflow: str) -> None:
    assert runtimes.for_stablehlo(version) == tensorflow


def test_the_table_is_sorted_and_newer_versions_are_unknown() -> None:
    for column in ("tensorflow", "stablehlo"):
        versions = [runtimes.parse(getattr(one, column)) for one in runtimes.RUNTIMES]
        assert versions == sorted(versions)
    conventions = [one.convention for one in runtimes.RUNTIMES]
    assert conventions == sorted(conventions)
    assert runtimes.for_stablehlo("1.14.0") == runtimes.for_convention(11) == runtimes.UNKNOWN
    assert runtimes.parse(runtimes.UNKNOWN) > runtimes.parse(runtimes.NEWEST)
    assert runtimes.for_ranges() == "2.19"


# Faults of files ------------------------------------------------------------------------------------------------------
def pack(folder: Path, out: Path, names: Iterable[str], *more: tarfile.TarInfo) -> Path:
    """Packs entries of a folder in the order given, then further headers without content."""
    with tarfile.open(out, "w:gz") as archive:
        for name in names:
            archive.add(folder / name, name, recursive=False)
        for entry in more:
            archive.addfile(entry, io.BytesIO())
    return out


def header(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return entry


ASSETS = header("assets", tarfile.DIRTYPE)
VARIABLES = ("variables", "variables/variables.index", "variables/variables.data-00000-of-00001")


@pytest.mark.parametrize(
    ("names", "more", "kind", "message"),
    [
        (("saved_model.pb", *VARIABLES), (), "order", "the last entry is variables/variables.data-00000-of-00001;"),
        ((*VARIABLES[1:], "saved_model.pb"), (), "order", "no folder entry comes before variables/variables.index, "),
        ((*VARIABLES, "saved_model.pb", "saved_model.pb"), (), "files", "come more than once: saved_model.pb"),
        ((), (ASSETS, header("assets/a", tarfile.SYMTYPE)), "files", "got links or special files: assets/a"),
        ((), (ASSETS, header("assets/a", tarfile.LNKTYPE)), "files", "got links or special files: assets/a"),
        ((), (ASSETS, header("assets/a", tarfile.FIFOTYPE)), "files", "got links or special files: assets/a"),
        ((), (ASSETS, header("assets/../../evil")), "files", "got assets/../../evil; do not unpack it"),
        ((), (header("/evil"),), "files", "expected names below the model's folder, got /evil; do not unpack it"),
        ((), (header("notes.txt"), header("debug", tarfile.DIRTYPE)), "files", "TF-Hub allows only"),
    ],
)  # fmt: skip
def test_faults_of_a_tarball(
    ours: Path, tmp_path: Path, names: tuple[str, ...], more: tuple[tarfile.TarInfo, ...], kind: str, message: str
) -> None:
    path = pack(ours, tmp_path / "m.tar.gz", names or (*VARIABLES, "saved_model.pb"), *more)
    findings = [
        finding for finding in find_faults(inspect_saved_model(path)) if not (names == () and finding.kind == "order")
    ]
    assert [finding.kind for finding in findings] == [kind]
    assert message in findings[0].text


def test_tarballs_without_faults(ours: Path, tmp_path: Path) -> None:
    package(ours, tmp_path / "m.tar.gz")
    assert faults_of(tmp_path / "m.tar.gz") == {}
    names = [".", *(f"./{name}" for name in (*VARIABLES, "saved_model.pb"))]
    assert faults_of(pack(ours, tmp_path / "dotted.tar.gz", names)) == {}


def test_a_tarball_with_the_folder_itself(ours: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.tar.gz"
    pack(tmp_path, path, ["ours", *(f"ours/{name}" for name in (*VARIABLES, "saved_model.pb"))])
    faults = faults_of(path)
    assert set(faults) == {"files"}
    assert "saved_model.pb lies in ours/; expected it at the archive's root" in faults["files"]


def test_faults_of_a_folder(ours: Path) -> None:
    (ours / "assets.extra").mkdir()
    (ours / "assets.extra/labels.tsv").symlink_to("/etc/passwd")
    assert "got links or special files: assets.extra/labels.tsv" in faults_of(ours)["files"]
    (ours / "assets.extra/labels.tsv").unlink()
    (ours / "keras_metadata.pb").write_bytes(b"")
    assert "got keras_metadata.pb; remove them" in faults_of(ours)["files"]


# Damaged models -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", b"\x08\x01", b"not a protobuf", bytes(1000), b"\x00\xff" * 500])
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(Fault, match=r"its saved_model\.pb \([\d,]+ bytes\) is cut short, damaged or not a SavedModel"):
        inspect_saved_model(tmp_path)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_cut_saved_model_is_refused(ours: Path, part: float) -> None:
    content = (ours / "saved_model.pb").read_bytes()
    (ours / "saved_model.pb").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(Fault, match="is cut short, damaged"):
        inspect_saved_model(ours)


@pytest.mark.parametrize("cut", [10, 300])
def test_a_cut_tarball_is_refused(ours: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.tar.gz"
    package(ours, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Fault, match=r"not a whole \.tar\.gz"):
        inspect_saved_model(path)


def test_other_files_and_folders_are_refused(ours: Path, tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"no tarball"))
    for path, message in (
        (tmp_path / "nowhere", "no such file or folder; name a SavedModel's folder or its .tar.gz"),
        (tmp_path / "empty", "no saved_model.pb in this folder"),
        (ours / "saved_model.pb", "neither a folder nor a .tar.gz"),
        (tmp_path / "text.gz", "not a whole .tar.gz"),
        (pack(ours, tmp_path / "v.tar.gz", VARIABLES), "no saved_model.pb in this tarball"),
    ):
        with pytest.raises(Fault) as raised:
            inspect_saved_model(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert message in str(raised.value)
    assert_refused(stage("doctor", tmp_path / "nowhere"), f"doctor: {tmp_path}/nowhere: no such file or folder")


# The command ----------------------------------------------------------------------------------------------------------
def test_the_command_prints_facts_and_faults(models: Path, stage: Stage) -> None:
    done = stage("doctor", models / "plain")
    assert_refused(done, "doctor: 4 faults, listed above")
    for line in (
        "TensorFlow                2.20 or newer",
        "platforms                 cpu",
        "calling convention        10",
    ):
        assert f"  {line}\n" in done.stdout
    assert "\nfaults:\n  tensorflow: it needs TensorFlow 2.20 because of" in done.stdout
    done = stage("doctor", models / "tensorflow")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  TensorFlow                unknown: no XlaCallModule operations; see written by\n" in done.stdout
    assert "faults:\n  none\n" in done.stdout


def test_json_has_facts_and_faults(models: Path, stage: Stage) -> None:
    done = stage("doctor", models / "plain", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {fault["kind"] for fault in found["faults"]} > {"tensorflow", "platforms"}
    assert found["tensorflow"] == "2.20"
    assert found["platforms"] == ["cpu"]
    assert found["computations"][0]["ranges"] is True
    done = stage("doctor", models / "ours", models / "tensorflow", "--json")
    assert done.returncode == 0
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["faults"] == second["faults"] == []
    assert first["signatures"]["serving_default"]["inputs"]["x"] == {"dtype": "float32", "shape": [None, 3]}
    assert first["variables"] == {"count": 2, "bytes": 32, "trainable": 1}
    assert (second["tensorflow"], second["platforms"], second["gradients"]) == (None, None, None)


def test_make_doctor(models: Path, tmp_path: Path) -> None:
    done = make(ROOT, "doctor", f"SAVED_MODEL={models}/ours")
    assert done.returncode == 0, done.stderr
    assert "faults:\n  none" in done.stdout
    done = make(ROOT, "doctor")
    assert done.returncode == 2
    assert "say which SavedModel: make doctor MODEL=<member>" in done.stderr
    done = make(ROOT, "doctor", "MODEL=vit_demo", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 2
    assert (
        f"{tmp_path}/vit_demo does not hold both SavedModels yet; run make convert MODEL=vit_demo first" in done.stderr
    )
