"""Makes a jax2tf SavedModel portable: what TensorFlow 2.14 and newer can read, without traces of this machine.

jax2tf leaves the model as XlaCallModule nodes that hold serialized StableHLO of the newest version. Three changes, all
lossless for a module without side effects, make older runtimes accept it (measured: 2.14 to 2.21):
the StableHLO is written again for version 0.9.0, debug information is stripped (its newer location attributes are
what TensorFlow 2.17 cannot parse, and they hold this machine's paths), and calling convention 9 is declared as 8,
which differs from it in nothing but the order of effects' tokens.
"""

from pathlib import Path
from typing import Any

from pipeline.meta_graph import computations
from pipeline.slim import slim

STABLEHLO_VERSION = "0.9.0"
CALLING_CONVENTION = 8
PLATFORMS = ("cpu", "cuda", "tpu")


def _portable(module: bytes) -> bytes:
    """Returns a serialized StableHLO module without debug information, for STABLEHLO_VERSION."""
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir.dialects import stablehlo
    from jaxlib.mlir.passmanager import PassManager

    with make_ir_context() as context:
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        PassManager.parse("builtin.module(strip-debuginfo)").run(parsed.operation)
        serialized: bytes = stablehlo.serialize_portable_artifact(parsed, STABLEHLO_VERSION)
        return serialized


def _strip_unsaved_gradients(saved_model: Any) -> None:
    """Removes the mark of a custom gradient from operations whose gradient is not in the file.

    These stand in the gradients themselves: second derivatives, which jax2tf does not export. TensorFlow fails when one
    is asked for, with the mark or without, but with it warns of that at every load.
    """
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library
        saved = {gradient.registered_op_type.encode() for gradient in library.registered_gradients}
        for function in library.function:
            for node in function.node_def:
                if "_gradient_op_type" in node.attr and node.attr["_gradient_op_type"].s not in saved:
                    del node.attr["_gradient_op_type"]


def make_portable(folder: Path) -> None:
    """Rewrites folder/saved_model.pb as the module's docstring says and removes fingerprint.pb, which no longer fits.

    TensorFlow loads a model without a fingerprint; the one it wrote bears a random identifier besides.

    Raises:
        RuntimeError: when a node has side effects or another calling convention than jax2tf was told to use.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    seen: dict[bytes, bytes] = {}
    for node in computations(saved_model):
        version, effects = node.attr["version"].i, node.attr["has_token_input_output"].b
        if version != CALLING_CONVENTION + 1 or effects:
            raise RuntimeError(f"{node.name}: cannot lower calling convention {version} (effects: {effects})")
        module = node.attr["module"].s
        if module not in seen:
            seen[module] = _portable(module)
        node.attr["module"].s = seen[module]
        node.attr["version"].i = CALLING_CONVENTION
    _strip_unsaved_gradients(saved_model)
    slim(saved_model)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)
