"""What one serialized StableHLO module asks of a runtime, read with jaxlib's MLIR and without running it."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.saved_model import runtimes

# Custom calls that TensorFlow and XLA know themselves, on every platform; the rest are functions that a runtime must
# have registered (of jaxlib's LAPACK: "No FFI handler registered for lapack_spotrf_ffi", TensorFlow 2.21).
_KNOWN_CALLS = re.compile(
    r"shape_assertion|tf\.call_tf_function|Sharding|SPMDFullToShardShape|SPMDShardToFullShape|(mhlo|chlo|stablehlo)\..+"
)
_EFFECTFUL = {f"stablehlo.{name}" for name in ("infeed", "outfeed", "send", "recv")}
_MINORS = [f"0.{minor}.0" for minor in range(9, 21)] + [f"1.{minor}.0" for minor in range(100)]
_LOCATION = re.compile(r"^#loc\d* = loc\((?!unknown\))", re.MULTILINE)
_RANGE = re.compile(r'^#loc\d* = loc\(.*":\d+:\d+ to ', re.MULTILINE)


@dataclass(frozen=True)
class Computation:
    """A StableHLO module. What only a parsed module tells is empty where `problem` says why it could not be parsed.

    Attributes:
        size: in bytes.
        stablehlo: the version in its header, such as "0.9.0"; None when it has none.
        features: the oldest StableHLO version whose encoding it has; this and not the header decides who can read it.
            None where jaxlib cannot write the module again (some custom calls, sharding annotations).
        composite: whether it has the operation `composite`.
        effects: what side effects it has, in words.
        custom_calls: the names of the functions it calls that are no StableHLO operations, sorted.
        debug_info: whether it says where in a program its operations come from.
        ranges: whether that debug information holds ranges of lines or columns.
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
        """Returns the custom calls that only a runtime that registered them can run."""
        return tuple(name for name in self.custom_calls if not _KNOWN_CALLS.fullmatch(name))

    def requirements(self) -> dict[str, str]:
        """Returns the oldest TensorFlow for each property that decides over it, see pipeline.saved_model.runtimes."""
        found = {}
        if version := self.stablehlo if self.problem else self.features:
            found[f"StableHLO features of {version}"] = runtimes.for_stablehlo(version)
        if self.ranges:
            found["ranges in its debug locations"] = runtimes.for_ranges()
        if self.composite:
            found["the operation composite"] = runtimes.COMPOSITE
        return found


def header_version(module: bytes) -> str | None:
    """Returns the StableHLO version in the header of MLIR bytecode (a magic number, a varint, the producer's name)."""
    found = re.match(rb"ML\xefR.{1,9}?StableHLO_v(\d+\.\d+\.\d+)\0", module, re.DOTALL)
    return found[1].decode() if found else None


def _content(module: bytes) -> bytes:
    """Returns bytecode without the producer's name, which holds the version."""
    start, _, rest = module.partition(b"StableHLO_v")
    return start + rest.partition(b"\0")[2]


def _features(serialize: Callable[[str], bytes], version: str) -> str:
    """Returns the oldest StableHLO version for which `serialize` gives the same encoding as for `version`.

    Between two versions that give the same encoding nothing changed, so halving finds it.

    Raises:
        ValueError: when `serialize` fails for `version` itself.
    """
    same = _content(serialize(version))

    def is_same(older: str) -> bool:
        try:
            return _content(serialize(older)) == same
        except ValueError:  # it has an operation that the older version lacks
            return False

    older = [minor for minor in _MINORS if runtimes.parse(minor) < runtimes.parse(version)]
    low, high = 0, len(older)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_same(older[middle]) else (middle + 1, high)
    return [*older, version][low]


def _walk(parsed: Any) -> tuple[set[str], set[tuple[str, bool]]]:
    """Returns the names of a module's operations and its custom calls as (target, has side effects)."""
    from jaxlib.mlir import ir

    operations: set[str] = set()
    calls: set[tuple[str, bool]] = set()

    def visit(operation: Any) -> Any:
        operations.add(operation.name)
        if operation.name == "stablehlo.custom_call":
            attributes = operation.attributes
            effect = "has_side_effect" in attributes and bool(attributes["has_side_effect"].value)
            calls.add((attributes["call_target_name"].value, effect))
        return ir.WalkResult.ADVANCE

    parsed.operation.walk(visit)
    return operations, calls


def _tokens(parsed: Any) -> bool:
    """Whether main takes or returns a token, which orders side effects."""
    return any(
        operation.name.value == "main" and "stablehlo.token" in str(operation.type)
        for operation in parsed.body.operations
        if operation.operation.name == "func.func"
    )


def _parsed(module: bytes, version: str | None, context: Any) -> Computation:
    """Reads a module; raises ValueError or RuntimeError (a name that is no text) when it is damaged."""
    from jaxlib.mlir.dialects import stablehlo

    def serialize(target: str) -> bytes:  # which rewrites the module it is given, so it is given one of its own
        fresh = stablehlo.deserialize_portable_artifact(context, module)
        serialized: bytes = stablehlo.serialize_portable_artifact(fresh, target)
        return serialized

    if not module:
        raise ValueError("it is empty")
    parsed = stablehlo.deserialize_portable_artifact(context, module)
    operations, calls = _walk(parsed)
    effects = sorted(f"custom call {name}" for name, effect in calls if effect and name != "shape_assertion")
    effects += sorted(operations & _EFFECTFUL) + (["tokens of main"] if _tokens(parsed) else [])
    assembly = parsed.operation.get_asm(enable_debug_info=True, large_elements_limit=8)
    features = None
    with suppress(ValueError):
        # What this jaxlib could parse has no features newer than its own, whatever the header says.
        newest = min(version or _MINORS[0], stablehlo.get_current_version(), key=runtimes.parse)
        features = _features(serialize, newest) if version else None
    return Computation(
        size=len(module),
        stablehlo=version,
        features=features,
        composite="stablehlo.composite" in operations,
        effects=tuple(effects),
        custom_calls=tuple(sorted({name for name, _ in calls})),
        debug_info=bool(_LOCATION.search(assembly)),
        ranges=bool(_RANGE.search(assembly)),
    )


def read(module: bytes) -> Computation:
    """Reads the `module` attribute of an XlaCallModule node."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import chlo, mhlo, sdy, stablehlo

    version, said = header_version(module), []

    def keep(diagnostic: Any) -> bool:  # instead of writing it to stderr
        with suppress(RuntimeError):  # it quotes bytes that are no text
            said.append(str(diagnostic))
        return True

    with ir.Context() as context:
        stablehlo.register_dialect(context)
        chlo.register_dialect(context)
        mhlo.register_mhlo_dialect(context)
        sdy.register_dialect(context)
        context.attach_diagnostic_handler(keep)
        try:
            return _parsed(module, version, context)
        except (ValueError, RuntimeError) as error:
            return Computation(len(module), version, problem=(said[0] if said else str(error))[:200])
