"""Reads what a serialized StableHLO module requires of a runtime, with jaxlib's MLIR and without running it."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.base.worker import Ended, Limits, Worker
from pipeline.saved_model import runtimes

# Custom calls that TensorFlow and XLA implement on every platform. All others are functions that a runtime must have
# registered (for jaxlib's LAPACK: "No FFI handler registered for lapack_spotrf_ffi", TensorFlow 2.21).
_BUILTIN_CALLS = re.compile(
    r"shape_assertion|tf\.call_tf_function|Sharding|SPMDFullToShardShape|SPMDShardToFullShape|(mhlo|chlo|stablehlo)\..+"
)
_EFFECTFUL = {f"stablehlo.{name}" for name in ("infeed", "outfeed", "send", "recv")}
_MINORS = [f"0.{minor}.0" for minor in range(9, 21)] + [f"1.{minor}.0" for minor in range(100)]
_LOCATION = re.compile(r"^#loc\d* = loc\((?!unknown\))", re.MULTILINE)
_RANGE = re.compile(r'^#loc\d* = loc\(.*":\d+:\d+ to ', re.MULTILINE)

# Of reading a module. That of a ViT-L/16 with its gradients takes 0.2 s and 60 MB, jaxlib itself 110 MB.
_LIMITS = Limits(seconds=60, memory=800_000_000)
_CRASHES = 3  # of the parser in a row of modules, at most: it takes half a second to start it again

_worker = Worker()


@dataclass(frozen=True)
class Computation:
    """A StableHLO module. If it could not be parsed, `problem` says why, and only size and stablehlo are set.

    Attributes:
        size: bytes.
        stablehlo: the version in its header, such as "0.9.0"; None without one.
        features: the oldest StableHLO version that has the same encoding; it decides, and not the header, which runtime
            can read the module. None where jaxlib cannot serialize it again (some custom calls, sharding annotations).
        composite: whether it has the operation `composite`.
        effects: its side effects, in words.
        custom_calls: the names of the functions that it calls and that are not StableHLO operations, sorted.
        debug_info: whether it has the source locations of its operations.
        ranges: whether these locations are ranges of lines or columns.
        problem: why it could not be parsed, or "".
    """

    size: int
    stablehlo: str | None
    features: str | None = None
    composite: bool = False
    effects: tuple[str, ...] = ()
    custom_calls: tuple[str, ...] = ()
    debug_info: bool = False
    ranges: bool = False
    problem: str = ""

    def foreign_calls(self) -> tuple[str, ...]:
        """Returns the custom calls that a runtime can run only after registering them."""
        return tuple(name for name in self.custom_calls if not _BUILTIN_CALLS.fullmatch(name))

    def requirements(self) -> dict[str, str]:
        """Returns the oldest TensorFlow that supports each demanding property, see pipeline.saved_model.runtimes."""
        oldest = {}
        if version := self.stablehlo if self.problem else self.features:
            oldest[f"StableHLO features of {version}"] = runtimes.for_stablehlo(version)
        if self.ranges:
            oldest["ranges in its debug locations"] = runtimes.for_ranges()
        if self.composite:
            oldest["the operation composite"] = runtimes.COMPOSITE
        return oldest


def header_version(module: bytes) -> str | None:
    """Returns the StableHLO version in the header of MLIR bytecode (a magic number, a varint, the producer's name)."""
    match = re.match(rb"ML\xefR.{1,9}?StableHLO_v(\d{1,6}\.\d{1,6}\.\d{1,6})\0", module, re.DOTALL)
    return match[1].decode() if match else None


def read_all(modules: Iterable[bytes]) -> tuple[Computation, ...]:
    """Reads modules in a process of its own, which a damaged one may end; the others are read all the same."""
    computations, crashes = [], 0
    for module in modules:
        try:
            if crashes >= _CRASHES:
                raise Ended(f"was not started again after it ended {_CRASHES} times")
            computations.append(_worker.call(_LIMITS, read, module))
        except Ended as reason:
            crashes += 1
            computations.append(Computation(len(module), header_version(module), problem=f"the parser {reason}"))
    return tuple(computations)


def read(module: bytes) -> Computation:
    """Reads the `module` attribute of an XlaCallModule node. Damage may end this process: see read_all()."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import chlo, mhlo, sdy, stablehlo

    version = header_version(module)
    diagnostics: list[str] = []

    def keep(diagnostic: Any) -> bool:  # MLIR would write it to stderr
        with suppress(RuntimeError):  # it quotes bytes that are not text
            diagnostics.append(str(diagnostic))
        return True

    with ir.Context() as context:
        stablehlo.register_dialect(context)
        chlo.register_dialect(context)
        mhlo.register_mhlo_dialect(context)
        sdy.register_dialect(context)
        context.attach_diagnostic_handler(keep)
        try:
            return _parse(module, version, context)
        except (ValueError, RuntimeError) as error:
            problem = diagnostics[0] if diagnostics else str(error)
            return Computation(len(module), version, problem=problem[:200])


def _parse(module: bytes, version: str | None, context: Any) -> Computation:
    """Parses a module; raises ValueError or RuntimeError (a name that is not text) when it is damaged."""
    from jaxlib.mlir.dialects import stablehlo

    if not module:
        raise ValueError("it is empty")
    parsed = stablehlo.deserialize_portable_artifact(context, module)
    operations, calls = _walk(parsed)
    effects = sorted(f"custom call {name}" for name, has_effect in calls if has_effect and name != "shape_assertion")
    effects += sorted(operations & _EFFECTFUL) + (["tokens of main"] if _has_tokens(parsed) else [])
    assembly = parsed.operation.get_asm(enable_debug_info=True, large_elements_limit=8)
    return Computation(
        size=len(module),
        stablehlo=version,
        features=_features(module, version, context) if version else None,
        composite="stablehlo.composite" in operations,
        effects=tuple(effects),
        custom_calls=tuple(sorted({name for name, _ in calls})),
        debug_info=bool(_LOCATION.search(assembly)),
        ranges=bool(_RANGE.search(assembly)),
    )


def _walk(parsed: Any) -> tuple[set[str], set[tuple[str, bool]]]:
    """Returns the names of a module's operations and its custom calls as (target, has side effects)."""
    from jaxlib.mlir import ir

    operations: set[str] = set()
    calls: set[tuple[str, bool]] = set()

    def visit(operation: Any) -> Any:
        operations.add(operation.name)
        if operation.name == "stablehlo.custom_call":
            attributes = operation.attributes
            has_effect = "has_side_effect" in attributes and bool(attributes["has_side_effect"].value)
            calls.add((attributes["call_target_name"].value, has_effect))
        return ir.WalkResult.ADVANCE

    parsed.operation.walk(visit)
    return operations, calls


def _has_tokens(parsed: Any) -> bool:
    """Whether main takes or returns a token, which orders side effects."""
    return any(
        operation.name.value == "main" and "stablehlo.token" in str(operation.type)
        for operation in parsed.body.operations
        if operation.operation.name == "func.func"
    )


def _features(module: bytes, version: str, context: Any) -> str | None:
    """Returns the oldest StableHLO version that has the module's encoding; None where jaxlib cannot serialize it."""
    from jaxlib.mlir.dialects import stablehlo

    def encode(target: str) -> bytes:
        fresh = stablehlo.deserialize_portable_artifact(context, module)  # serializing changes what it is given
        return _without_producer(stablehlo.serialize_portable_artifact(fresh, target))

    # This jaxlib could parse the module: it has no features newer than jaxlib's own version, whatever its header says.
    newest = min(version, stablehlo.get_current_version(), key=runtimes.parse)
    with suppress(ValueError):
        return _oldest_with_same_encoding(encode, newest)
    return None


def _without_producer(module: bytes) -> bytes:
    """Returns bytecode without the producer's name, which has the version."""
    start, _, rest = module.partition(b"StableHLO_v")
    return start + rest.partition(b"\0")[2]


def _oldest_with_same_encoding(encode: Callable[[str], bytes], version: str) -> str:
    """Returns the oldest StableHLO version for which `encode` gives the same bytes as for `version`.

    If two versions give the same bytes, so do all versions between them; hence the bisection.

    Raises:
        ValueError: when `encode` fails for `version` itself.
    """
    expected = encode(version)

    def is_same(older: str) -> bool:
        try:
            return encode(older) == expected
        except ValueError:  # the older version lacks an operation
            return False

    older = [minor for minor in _MINORS if runtimes.parse(minor) < runtimes.parse(version)]
    low, high = 0, len(older)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_same(older[middle]) else (middle + 1, high)
    return [*older, version][low]
