"""What a StableHLO module requires of a runtime."""

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from pipeline.saved_model import computation
from tests.hostile.damage import damage

pytestmark = pytest.mark.slow


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


def test_damaged_modules_are_problems() -> None:
    whole = written(CALL.replace("NAME", "printer"), "0.9.0")
    for damaged in (b"garbage", b"", whole[:-9], whole.replace(b"printer", b"prin\xff\xfer")):
        module = computation.read(damaged)
        assert module.problem
        assert module.effects == ()
    assert computation.read(b"garbage").requirements() == {}
    assert computation.read(whole[:-9]).requirements() == {"StableHLO features of 0.9.0": "2.14"}


def test_damage_ends_no_process_but_the_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One damaged byte in some hundreds makes jaxlib crash; the modules after it are read all the same."""
    whole = written(TAN, "1.5.0")
    modules = [damage(whole, Random(number)) for number in range(100)]
    problems = [computation.read_all([module])[0].problem for module in modules]
    assert len([problem for problem in problems if problem]) > 20
    monkeypatch.setattr(computation, "read", crash)
    first, *others = computation.read_all([whole] * 5)
    assert first.problem == "the parser ended by SIGABRT"
    assert others[-1].problem == "the parser was not started again after it ended 3 times"
    monkeypatch.undo()
    assert computation.read_all([whole])[0].features == "1.4.0"


def crash(module: bytes) -> None:
    os.abort()
