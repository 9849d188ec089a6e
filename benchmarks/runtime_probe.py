"""Measures what each TensorFlow loads and runs, for the tables in pipeline/saved_model/.

    python -m benchmarks.runtime_probe INTERPRETER ...
    python -m benchmarks.runtime_probe --operations INTERPRETER ... > pipeline/saved_model/operations.tsv

The first measures XlaCallModule nodes, for runtimes.py. The second lists which operations each has, and on which
devices, for operations.py: name the interpreters from the oldest TensorFlow to the newest, all of the table.

Each interpreter belongs to an environment with one TensorFlow and nothing else of ours, for instance
`uv venv -p 3.11 tf-2.14 && uv pip install -p tf-2.14/bin/python 'tensorflow==2.14.*'`. For each, prints the StableHLO
version of the runtime and its result for each variant of a small SavedModel:

- calling conventions (the node's `version`), for one platform and a fixed shape, and for three platforms and any batch;
- StableHLO versions that run, beside those expected from pipeline.saved_model.computation and the runtime's version;
- kinds of debug locations, an unknown attribute, recent operations, functions of jaxlib;
- the SavedModel as plain jax2tf writes it.

About 20 seconds per interpreter on 2 cores.
"""

import ctypes
import datetime
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCATIONS = {
    "file": '"a.py":1:2',
    "range": '"a.py":1:2 to 3:4',
    "columns": '"a.py":1:2 to :4',
    "name": '"name"("a.py":1:2)',
    "callsite": 'callsite("a.py":1:2 at "b.py":3:4)',
    "fused": 'fused["a.py":1:2, "b.py":3:4]',
}
CONVENTIONS = range(4, 12)
# Minor versions up to jaxlib's own; StableHLO can no longer write versions before 0.9.
VERSIONS = [f"0.{minor}.0" for minor in range(9, 21)] + [f"1.{minor}.0" for minor in range(18)]


@dataclass(frozen=True)
class Variant:
    """A SavedModel to test: a base, and the changes to its XlaCallModule nodes.

    Attributes:
        base: a key of functions().
        convention: the calling convention.
        stablehlo: the StableHLO version.
        location: the debug location of every operation, a key of LOCATIONS or "unknown".
        shardy: whether to set the attribute use_shardy_partitioner.
        as_is: leaves the nodes as jax2tf writes them; the other fields are not used then.
    """

    base: str
    convention: int = 8
    stablehlo: str = "0.9.0"
    location: str = "unknown"
    shardy: bool = False
    as_is: bool = False

    @property
    def name(self) -> str:
        if self.as_is:
            return f"{self.base} as it is"
        more = [f"location {self.location}"] * (self.location != "unknown") + ["with shardy"] * self.shardy
        return " ".join([f"{self.base} convention {self.convention} StableHLO {self.stablehlo}", *more])


FIXED = [
    *(Variant(base, convention) for base in ("static", "everywhere") for convention in CONVENTIONS),
    *(Variant("everywhere", location=location) for location in LOCATIONS),
    Variant("everywhere", shardy=True),
    Variant("random"),
    Variant("composite", stablehlo="1.0.0"),  # cannot be written for 0.9.0
    Variant("lapack", as_is=True),
    Variant("plain", as_is=True),
]


# In the environment under test, run by path: nothing but TensorFlow and the standard library --------------------------
def check(folders: Sequence[str]) -> None:
    """Loads and runs each SavedModel and prints a line: its name, and "ok" or the error."""
    import tensorflow as tf
    from tensorflow.compiler.mlir.stablehlo import stablehlo

    print("tensorflow", f"{tf.__version__}, StableHLO {stablehlo.get_current_version()}", sep="\t", flush=True)
    for folder in folders:
        print(Path(folder).name, end="\t", flush=True)
        try:
            module = tf.saved_model.load(folder)
            got = module.f(tf.linspace(tf.constant([0.0] * 4), [1.0] * 4, 4))
            error = float(tf.reduce_max(tf.abs(got - module.expected)))
            print("ok" if error < 1e-5 else f"wrong by {error}", flush=True)
        except Exception as error:  # any error is a result
            message = " ".join(str(error).split()).partition("unavailable> ")
            print((message[2] or message[0]).partition(" [[")[0][:200], flush=True)


def list_operations() -> None:
    """Prints the operations of TensorFlow, a line each: its name and the types of devices that have a kernel.

    Python's package registers operations for TensorFlow's own tests, too; those are left out.
    """
    folder = Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])  # type: ignore[union-attr,index]
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
    library.TF_GetAllOpList.restype = ctypes.POINTER(_Buffer)
    buffer = library.TF_GetAllOpList().contents
    core = ctypes.string_at(buffer.data, buffer.length)  # before Python registers more
    import tensorflow as tf
    from tensorflow.core.framework.op_def_pb2 import OpList
    from tensorflow.python.framework.kernels import get_all_registered_kernels

    devices: dict[str, set[str]] = {operation.name: set() for operation in OpList.FromString(core).op}
    devices["AudioMicrofrontend"] = set()  # the one for users that only Python's package registers
    for kernel in get_all_registered_kernels().kernel:
        devices.get(kernel.op, set()).add(kernel.device_type)
    print("tensorflow", tf.__version__, sep="\t")
    for name, types in devices.items():
        print(name, ",".join(sorted(types)), sep="\t")


class _Buffer(ctypes.Structure):
    """TF_Buffer of TensorFlow's C API."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


# In this project's environment ----------------------------------------------------------------------------------------
def functions() -> dict[str, Callable[[Any, Any], Any]]:
    """Returns the functions of (float32 (4, 4) weights, float32 (n, 4) inputs) that the bases hold."""
    import jax
    import jax.numpy as jnp

    def common(weights: Any, x: Any) -> Any:
        hidden = jax.nn.gelu((x @ weights + 1.0)[:, jnp.array([1, 0, 3, 2])].reshape(-1, 2, 2), approximate=False)
        mean = hidden.mean(-1, keepdims=True)
        return jax.nn.softmax((hidden - mean) * jax.lax.rsqrt(hidden.var(-1, keepdims=True) + 1e-3)).reshape(-1, 4)

    return {
        "plain": common,
        "static": common,
        "everywhere": common,
        "lapack": lambda w, x: jnp.linalg.cholesky(w @ w.T + jnp.eye(4)) + x,
        "composite": lambda w, x: jax.lax.top_k(jax.scipy.special.erf(x @ w), 4)[0],
        "random": lambda w, x: x @ w + jax.random.normal(jax.random.key(0, impl="rbg"), (4, 4)),
    }


def write_bases(folder: Path) -> None:
    """Saves folder/<base> for each function; its variable `expected` has JAX's outputs."""
    import jax
    import numpy as np
    import tensorflow as tf
    from jax.experimental import jax2tf

    weights = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    inputs = np.linspace([0.0] * 4, [1.0] * 4, 4).astype(np.float32)
    for base, function in functions().items():
        jax.config.update("jax_export_calling_convention_version", 10 if base == "plain" else 9)
        everywhere = base in ("everywhere", "composite", "random")
        converted = jax2tf.convert(
            function,
            polymorphic_shapes=[None, "(n, 4)"] if base in ("plain", "everywhere") else None,
            native_serialization_platforms=("cpu", "cuda", "tpu") if everywhere else None,
            with_gradient=False,  # only the forward pass is tested
        )
        module = tf.Module()
        module.weights = tf.Variable(weights)
        module.expected = tf.Variable(np.asarray(function(weights, inputs)))
        rows = None if base in ("plain", "everywhere") else 4
        call = functools.partial(converted, module.weights)
        module.f = tf.function(call, input_signature=[tf.TensorSpec((rows, 4), tf.float32)], autograph=False)
        tf.saved_model.save(module, str(folder / base))


def rewrite_module(module: bytes, version: str, location: str) -> bytes:
    """Returns a StableHLO module in another version, with one debug location everywhere."""
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo
    from jaxlib.mlir.passmanager import PassManager

    with make_ir_context() as context:
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        PassManager.parse("builtin.module(strip-debuginfo)").run(parsed.operation)
        if location != "unknown":
            assembly = parsed.operation.get_asm(enable_debug_info=True)
            replaced = assembly.replace("#loc = loc(unknown)", f"#loc = loc({LOCATIONS[location]})")
            assert replaced != assembly
            parsed = ir.Module.parse(replaced)
        serialized: bytes = stablehlo.serialize_portable_artifact(parsed, version)
        return serialized


def nodes_of(saved_model: Any) -> list[Any]:
    """Returns the XlaCallModule nodes of a SavedModel."""
    graph = saved_model.meta_graphs[0].graph_def
    lists = (graph.node, *(function.node_def for function in graph.library.function))
    return [node for nodes in lists for node in nodes if node.op == "XlaCallModule"]


def write(variant: Variant, bases: Path, folder: Path) -> str:
    """Writes a variant's SavedModel below `folder`, unless it exists, and returns its path."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    out = folder / variant.name
    if out.exists():
        return str(out)
    out.mkdir(parents=True)
    (out / "variables").symlink_to(bases / variant.base / "variables")
    saved_model = SavedModel.FromString((bases / variant.base / "saved_model.pb").read_bytes())
    for node in [] if variant.as_is else nodes_of(saved_model):
        node.attr["module"].s = rewrite_module(node.attr["module"].s, variant.stablehlo, variant.location)
        node.attr["version"].i = variant.convention
        if variant.shardy:
            node.attr["use_shardy_partitioner"].b = True
    (out / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    return str(out)


def features(path: str) -> str:
    """Returns the StableHLO version that the features of a variant's module need."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    node = nodes_of(SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes()))[0]
    return computation.read(node.attr["module"].s).features or ""


def run_checks(interpreter: str, folders: Sequence[str]) -> dict[str, str]:
    """Returns what check() prints of each folder in an interpreter; "crashed" where the process died."""
    results: dict[str, str] = {}
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    while remaining := [folder for folder in folders if Path(folder).name not in results]:
        command = [interpreter, str(Path(__file__).resolve()), "--check", *remaining]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line]
        if not lines:
            raise RuntimeError(f"{interpreter}: {done.stderr[-1000:]}")
        results |= {name: result or "crashed" for name, result in lines}
    return results


def run_listing(interpreter: str) -> tuple[str, dict[str, set[str]]]:
    """Returns the version of an interpreter's TensorFlow, and its operations with their devices."""
    command = [interpreter, str(Path(__file__).resolve()), "--list-operations"]
    done = subprocess.run(command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, stdout=subprocess.PIPE, check=True)
    (_, version), *rows = (line.split("\t") for line in done.stdout.decode().splitlines())
    return version, {name: set(filter(None, types.split(","))) for name, types in rows}


def print_operations(interpreters: Sequence[str]) -> None:
    """Prints the table of pipeline/saved_model/operations.py."""
    listings = [run_listing(interpreter) for interpreter in interpreters]
    versions = [version for version, _ in listings]
    if [".".join(version.split(".")[:2]) for version in versions] != [row.tensorflow for row in runtimes.RUNTIMES]:
        raise SystemExit(f"got TensorFlow {', '.join(versions)}; expected those of pipeline/saved_model/runtimes.py")
    print(f"# The operations of TensorFlow {', '.join(versions)} (x86-64), made on {datetime.date.today()} with")
    print("# python -m benchmarks.runtime_probe --operations; operations.py beside it explains the columns.")
    for name in sorted({name for _, operations in listings for name in operations}):
        print("\t".join(operation_row(name, [operations.get(name) for _, operations in listings])).rstrip())


def operation_row(name: str, devices: Sequence[set[str] | None]) -> tuple[str, str, str]:
    """Returns a row of the table: the operation, the versions that have it, and the devices unless it runs on any.

    Args:
        name: the operation.
        devices: the types of devices that have a kernel in each version, None where the version lacks the operation.
    """
    minors = [runtime.tensorflow for runtime in runtimes.RUNTIMES]
    present = [minor for minor, types in zip(minors, devices, strict=True) if types is not None]
    first, last = present[0], present[-1]
    if present != minors[minors.index(first) : minors.index(last) + 1]:
        raise SystemExit(f"{name}: in TensorFlow {', '.join(present)}; the table can hold one range of versions only")
    span = "" if present == minors else f"{first}-{'' if last == minors[-1] else last}"
    kinds = {_device_kind(types) for types in devices if types is not None}
    if len(kinds) > 1:
        raise SystemExit(
            f"{name}: its devices depend on the version ({', '.join(kinds)}); the table has no column for it"
        )
    return name, span, kinds.pop()


def _device_kind(types: Collection[str]) -> str:
    if {"CPU", "DEFAULT"} & set(types):
        return ""
    return "gpu" if "GPU" in types else "none"


def report(interpreter: str, fixed: Sequence[str], versions: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Prints the results of one interpreter.

    Args:
        interpreter: its path.
        fixed: the SavedModels of FIXED.
        versions: a SavedModel for each StableHLO version.
        expected: the StableHLO version that each of these needs.
    """
    results = run_checks(interpreter, [*fixed, *versions.values()])
    title = results["tensorflow"]
    own = runtimes.parse(title.rpartition(" ")[2])
    print(f"## TensorFlow {title}")
    for path in fixed:
        print(f"- {Path(path).name}: {results[Path(path).name]}")
    running = [version for version, path in versions.items() if results[Path(path).name] == "ok"]
    foreseen = [version for version in versions if runtimes.parse(expected[version]) <= own]
    print(f"- StableHLO versions that run: {', '.join(running)}")
    print(f"- {'as expected' if running == foreseen else 'NOT AS EXPECTED: ' + ', '.join(foreseen)}", flush=True)


def main(interpreters: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        bases, folder = Path(name, "bases"), Path(name, "variants")
        write_bases(bases)
        fixed = [write(variant, bases, folder) for variant in FIXED]
        versions = {version: write(Variant("everywhere", 8, version), bases, folder) for version in VERSIONS}
        expected = {version: features(path) for version, path in versions.items()}
        for interpreter in interpreters:
            report(interpreter, fixed, versions, expected)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2:])
    elif sys.argv[1:2] == ["--list-operations"]:
        list_operations()
    else:
        from pipeline.saved_model import (
            computation,
            runtimes,  # not in the environment under test
        )

        if sys.argv[1:2] == ["--operations"]:
            print_operations(sys.argv[2:])
        else:
            main(sys.argv[1:])
