"""environment: which variables of the environment reach JAX and TensorFlow."""

import json
import os
import subprocess
import sys

import pytest

from pipeline.base.environment import CONVERT, QUICK_XLA_FLAGS, VALIDATE, known_environment, prepare_environment
from tests.conftest import ROOT

ORDINARY = {
    "HOME": "/home/ann",
    "CHECKPOINTS": "~/augreg",
    "TFHUB_CACHE_DIR": "/tmp/hub",
    "XLA_FLAGS": QUICK_XLA_FLAGS,
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_CLI_CONFIG_FILE": "/home/ann/.terraformrc",
    "TF_VAR_region": "us-east1",
    "TF_CONFIG": "{}",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "TF2_BEHAVIOR": "1",
}


def test_ordinary_variables_stay() -> None:
    assert known_environment(ORDINARY, VALIDATE) == (ORDINARY | VALIDATE, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_ENABLE_X64", "1"),
        ("JAX_DISABLE_JIT", "1"),
        ("JAX_NUMPY_RANK_PROMOTION", "raise"),
        ("JAX_PLATFORM_NAME", "gpu"),
        ("JAX_A_SETTING_OF_NEXT_YEAR", "1"),
        ("JAX2TF_DEFAULT_NATIVE_SERIALIZATION", "0"),
        ("EAGER_CONSTANT_FOLDING", "1"),
        ("NPY_PROMOTION_STATE", "legacy"),
        ("FLAX_LAZY_RNG", "0"),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2"),
        ("TF_FUNCTION_JIT_COMPILE_DEFAULT", "1"),
        ("TF_USE_LEGACY_KERAS", "1"),
        ("TF_ENABLE_COND_V2", "0"),
        ("TF_SET_ONEDNN_FPMATH_MODE", "BF16"),
        ("TF2_BEHAVIOR", "0"),
        ("AUTOGRAPH_STRICT_CONVERSION", "1"),
        ("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python"),
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
        ("XLA_FLAGS", "/home/ann/flags"),  # XLA reads flags from a file of this name
    ],
)
def test_what_changes_results_is_ignored_by_name(name: str, value: str) -> None:
    known, ignored = known_environment({"HOME": "/home/ann", name: value}, VALIDATE)
    assert (known, ignored) == ({"HOME": "/home/ann"} | VALIDATE, [name])


def test_flags_of_xla_are_judged_one_by_one() -> None:
    flags = "--xla_dump_to=/tmp/xla  --xla_gpu_enable_triton_gemm=false --xla_backend_optimization_level=1"
    known, ignored = known_environment({"XLA_FLAGS": flags}, VALIDATE)
    assert known["XLA_FLAGS"] == "--xla_dump_to=/tmp/xla --xla_backend_optimization_level=1"
    assert ignored == ["XLA_FLAGS"]


def test_the_settings_of_a_stage_win() -> None:
    given = {"JAX_PLATFORMS": "cuda", "CUDA_VISIBLE_DEVICES": "0"}
    assert known_environment(given, CONVERT) == (CONVERT, ["CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"])
    assert known_environment(given, VALIDATE) == (VALIDATE | {"CUDA_VISIBLE_DEVICES": "0"}, ["JAX_PLATFORMS"])
    assert known_environment(CONVERT, CONVERT) == (CONVERT, [])
    assert known_environment({"JAX_ENABLE_X64": ""}, CONVERT) == (CONVERT, [])  # empty: JAX itself would refuse it


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | environment
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_neither_stage_imports_jax_before_its_environment_is_prepared() -> None:
    script = """
import os, pipeline.convert, pipeline.validate
pipeline.convert.prepare_environment("convert", pipeline.convert.CONVERT)
print({name: value for name, value in os.environ.items() if name.startswith(("JAX", "CUDA"))})
"""
    done = run(script, JAX_ENABLE_X64="1", JAX_PLATFORMS="cuda")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{CONVERT}\n"
    assert done.stderr == "convert: ignores JAX_ENABLE_X64, JAX_PLATFORMS of the environment (docs/settings.md)\n"


@pytest.mark.slow
def test_no_setting_of_jax_reaches_convert() -> None:
    """JAX reads each of its settings from the variable of its name in capitals, also those of a later JAX."""
    done = run("import jax, json; print(json.dumps(list(jax.config.values)))")
    names = [name.upper() for name in json.loads(done.stdout)]
    assert {"JAX_ENABLE_X64", "JAX_DISABLE_JIT", "JAX2TF_DEFAULT_NATIVE_SERIALIZATION"} <= set(names)
    assert known_environment(dict.fromkeys(names, "1"), CONVERT) == (CONVERT, sorted(names))


def test_every_command_reads_protobuf_whatever_implementation_is_asked_for() -> None:
    script = """
from pipeline.base.command import guarded
from pipeline.saved_model.graph import saved_model_class
raise SystemExit(guarded("doctor", lambda: print(saved_model_class().DESCRIPTOR.full_name)))
"""
    for implementation in ("cpp", "python", "none"):  # cpp was removed from protobuf
        done = run(script, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation)
        assert (done.returncode, done.stdout) == (0, "tensorflow.SavedModel\n"), done.stderr


def test_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", sys)
    with pytest.raises(RuntimeError, match=r"^jax.*: imported before the environment is prepared"):
        prepare_environment("convert", CONVERT)


IMPORTS_FIRST = """
import os, sys, types
from pipeline.base import environment
environment.prepare_imports()
sys.modules["jax"] = types.ModuleType("jax")  # as if it were imported
{change}
environment.prepare_environment("convert", environment.CONVERT)
print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ.get("JAX_ENABLE_X64"))
"""


@pytest.mark.parametrize(
    ("change", "output", "error"),
    [
        ("", "-1 None\n", ""),
        ("os.environ['JAX_ENABLE_X64'] = '1'", "-1 None\n", "convert: ignores JAX_ENABLE_X64 of the environment"),
        ("os.environ['NAME'] = 'x'", "-1 None\n", ""),
        (
            "os.environ['OMP_NUM_THREADS'] = '3'",
            "",
            "RuntimeError: OMP_NUM_THREADS: changed after JAX and TensorFlow were",
        ),
        ("environment._imported_with = None", "", "RuntimeError: jax: imported before the environment is prepared"),
    ],
)
def test_a_process_may_import_jax_first_if_the_variables_stay_what_they_were(
    change: str, output: str, error: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_FIRST.format(change=change)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == output
    assert error in done.stderr
    assert bool(error) == bool(done.stderr)
