"""SavedModels of small functions, and changes to them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.saved_model.faults import find_faults, find_publication_faults
from pipeline.saved_model.findings import Finding
from pipeline.saved_model.graph import saved_model_class
from pipeline.saved_model.inspection import inspect_saved_model
from pipeline.saved_model.portable import CALLING_CONVENTION, PLATFORMS, make_portable


def write_models(folder: Path) -> None:
    """Writes SavedModels: plain (as jax2tf writes it), ours (made portable), tensorflow (without JAX)."""
    from pipeline.saved_model.load import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    save_jax(folder / "plain", portable=False)
    save_jax(folder / "ours", portable=True)
    module = tf.Module()
    module.v = tf.Variable(tf.ones((3, 2)), trainable=False)
    spec = tf.TensorSpec((None, 3), tf.float32)
    module.f = tf.function(lambda x: x @ module.v, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder / "tensorflow"), module.f)


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


def calls(saved_model: Any) -> Iterable[Any]:
    """Yields the XlaCallModule nodes."""
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        yield from (node for node in function.node_def if node.op == "XlaCallModule")


def edit(folder: Path, change: Callable[[Any], None]) -> None:
    """Changes the SavedModel message of a folder in place."""
    saved_model = saved_model_class().FromString((folder / "saved_model.pb").read_bytes())
    change(saved_model)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())


def faults_of(path: Path) -> dict[str, str]:
    """Returns the texts of a model's faults by kind; each starts with the model's path."""
    return _by_kind(path, find_faults(inspect_saved_model(path)))


def publication_faults_of(path: Path) -> dict[str, str]:
    """Returns what keeps a model from being published, as faults_of() does."""
    return _by_kind(path, find_publication_faults(inspect_saved_model(path)))


def _by_kind(path: Path, findings: Sequence[Finding]) -> dict[str, str]:
    assert all(finding.text.startswith(f"{path}: ") for finding in findings)
    assert len({finding.kind for finding in findings}) == len(findings)
    return {finding.kind: finding.text for finding in findings}
