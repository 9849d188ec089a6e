"""Prepares the environment of convert and validate, so that the same inputs give the same bytes and figures everywhere.

JAX, Flax, XLA, TensorFlow and protobuf take settings from variables of the environment, which people set for their own
programs. Many change what a module contains or computes: JAX_ENABLE_X64 and JAX_DISABLE_JIT its StableHLO,
JAX_NUMPY_RANK_PROMOTION=raise stops the model, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python writes saved_model.pb in
another order. Those about logs, devices, memory, threads and rounding stay.
"""

import os
import re
import sys
from collections.abc import Mapping

# JAX computes references in float64, which are the same on every CPU; it would take any device it has a plugin for.
# Several processes of a stage run at once: the first TensorFlow would take all memory of a GPU. convert needs none.
CONVERT = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
VALIDATE = {"JAX_PLATFORMS": "cpu", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}

# TensorFlow's by name: Terraform's variables begin with TF_, too. JAX has a few settings of other names, and
# NumPy promotes types as NPY_PROMOTION_STATE says.
_IGNORED = re.compile(
    r"(JAX|JAX2TF|FLAX|AUTOGRAPH|TF2)_.*|EAGER_CONSTANT_FOLDING|CHECK_VMA|MOCK_NUM_GPU_PROCESSES|NPY_PROMOTION_STATE"
    r"|PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION|TF_(XLA|JIT|AUTO_MIXED_PRECISION)_.*"
    r"|TF_(ENABLE_\w+_V2|ENABLED_DEVICE_TYPES|FUNCTION_JIT_COMPILE_DEFAULT|OPTIONALS_IN_GRADIENTS"
    r"|SET_ONEDNN_FPMATH_MODE|USE_LEGACY_KERAS)"
)
# TensorFlow's import sets it, also for programs that the importing one starts.
_DEFAULTS = {("TF2_BEHAVIOR", "1")}
# XLA ends a process for a flag that it does not know, and TensorFlow's XLA and jaxlib's know different ones. Both know
# these, which change no byte: dumps, and how long code is optimized before it runs.
_KEPT_XLA_FLAG = re.compile(r"--xla_(dump_\w+|backend_optimization_level|llvm_disable_expensive_passes)(=.*)?")


def known_environment(environment: Mapping[str, str], settings: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Returns an environment that changes no result, and the names of the variables in which it differs, sorted.

    The flags of XLA_FLAGS are judged one by one.

    Args:
        environment: the variables by name.
        settings: what the result has in any case: CONVERT or VALIDATE.
    """
    known = {
        name: value for name, value in environment.items() if not _IGNORED.fullmatch(name) or (name, value) in _DEFAULTS
    }
    flags = [flag for flag in known.pop("XLA_FLAGS", "").split() if _KEPT_XLA_FLAG.fullmatch(flag)]
    known |= {"XLA_FLAGS": " ".join(flags), **settings} if flags else settings
    return known, sorted(name for name, value in environment.items() if value.strip() and known.get(name) != value)


# For programs that run once or twice, which take longer to compile with optimization than they run.
# Without XLA's emitters of fusions by MLIR (--xla_cpu_use_fusion_emitters=false) gradients take 0.84 of the processor
# time, but those before them compute slices wrongly whose starts are integers of 8 bits, as tests/translate shows.
QUICK_XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

# Of a process that imports JAX and TensorFlow before it knows which of the two stages it runs.
IMPORTS = {"JAX_PLATFORMS": "cpu"}
# Their imports do not read these two, which only tell how GPUs are used once there is something to compute.
_READ_LATE = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
_READ_BY_IMPORTS = re.compile(
    r"(JAX|XLA|TF|TF2|FLAX|AUTOGRAPH|NPY|NUMPY|OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|ONEDNN|DNNL|EIGEN|PROTOCOL_BUFFERS|ABSL"
    r"|LD|LC|MALLOC|PYTHON|CUDA|HIP|TPU|ROCM)_\w+|LANG|LANGUAGE|EAGER_CONSTANT_FOLDING|CHECK_VMA|MOCK_NUM_GPU_PROCESSES"
)
_imported_with: dict[str, str] | None = None  # the environment of the imports, where they come first


def prepare_imports() -> None:
    """Gives this process the environment in which it may import JAX and TensorFlow before prepare_environment().

    Raises:
        RuntimeError: as prepare_environment() does.
    """
    global _imported_with
    _refuse_early_imports()
    _take_environment(known_environment(os.environ, IMPORTS)[0])
    _imported_with = dict(os.environ)


def read_by_imports(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that may change what the imports of JAX and TensorFlow, and what they import, do."""
    return {
        name: value
        for name, value in environment.items()
        if _READ_BY_IMPORTS.fullmatch(name) and name not in _READ_LATE and (name, value) not in _DEFAULTS
    }


def _refuse_early_imports() -> None:
    if early := sorted({"jax", "tensorflow"} & sys.modules.keys()):
        raise RuntimeError(f"{', '.join(early)}: imported before the environment is prepared")


def _refuse_other_imports(imported_with: Mapping[str, str]) -> None:
    """Raises RuntimeError when the imports read another value of a variable than this process has."""
    ours, theirs = read_by_imports(os.environ), read_by_imports(imported_with)
    if other := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
        raise RuntimeError(f"{', '.join(other)}: changed after JAX and TensorFlow were imported")


def _take_environment(known: Mapping[str, str]) -> None:
    for name in os.environ.keys() - known.keys():
        del os.environ[name]
    os.environ.update(known)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before either import: jaxlib logs its devices otherwise


def prepare_environment(stage: str, settings: Mapping[str, str]) -> None:
    """Gives this process and its children the known environment, and says on stderr which variables are ignored.

    Args:
        stage: the first word of the line on stderr.
        settings: CONVERT or VALIDATE.

    Raises:
        RuntimeError: when JAX or TensorFlow are imported already, without prepare_imports(), or with other values of
            the variables that they read during their import.
    """
    if _imported_with is None:
        _refuse_early_imports()
    known, ignored = known_environment(os.environ, settings)
    _take_environment(known)
    if _imported_with is not None:
        _refuse_other_imports(_imported_with)
    if ignored:
        print(f"{stage}: ignores {', '.join(ignored)} of the environment (docs/settings.md)", file=sys.stderr)
