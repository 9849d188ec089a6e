"""convert: a checkpoint to two SavedModels, the classifier and the feature extractor.

    python -m pipeline.convert MEMBER.yaml CHECKPOINT OUT

writes OUT/classification and OUT/fe. Both come from one load of the checkpoint and share its variables.
"""

import argparse
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import checkpoint, labels, spec, stablehlo
from pipeline.fault import command
from pipeline.files import Progress, replacing_folder, sha256_of
from pipeline.tensorflow_start import start_tensorflow
from pipeline.vit import Model, VisionTransformer, variant

if TYPE_CHECKING:
    import tensorflow as tf

OUTPUTS = {"classification": "logits", "fe": "features"}  # the name of each head's output


def _module(model: Model, classes: int | None, variables: Mapping[str, "tf.Variable"]) -> "tf.train.Checkpoint":
    """Builds a Reusable SavedModel (https://www.tensorflow.org/hub/reusable_saved_models) around the Flax model.

    Args:
        model: the section.
        classes: the number of logits, or None for the feature extractor.
        variables: the parameters this head uses, by their upstream paths.
    """
    import tensorflow as tf
    from jax.experimental import jax2tf

    flax_module = VisionTransformer(variant(model.variant), classes)
    converted = jax2tf.convert(
        lambda parameters, images: flax_module.apply({"params": checkpoint.tree(parameters)}, images),
        polymorphic_shapes=[None, f"(n, {model.image_size}, {model.image_size}, 3)"],
        with_gradient=True,
        native_serialization_platforms=stablehlo.PLATFORMS,
    )
    named = dict(variables)
    inputs = tf.TensorSpec((None, model.image_size, model.image_size, 3), tf.float32, name="inputs")
    # Both values of `training` call this one concrete function, so the computation is traced, lowered and stored once;
    # a tf.function would be traced anew by its second caller, since its first trace is kept apart to create variables.
    forward = tf.function(lambda inputs: converted(named, inputs), autograph=False).get_concrete_function(inputs)

    module = tf.train.Checkpoint()
    module.variables = list(named.values())
    module.trainable_variables = list(named.values())
    module.regularization_losses = []
    module.__call__ = tf.function(lambda inputs, training=False: forward(inputs), autograph=False)
    for training in (False, True):
        module.__call__.get_concrete_function(inputs, training=training)
    return module


def _signature(module: "tf.train.Checkpoint", model: Model, output: str) -> "tf.types.experimental.ConcreteFunction":
    import tensorflow as tf

    inputs = tf.TensorSpec((None, model.image_size, model.image_size, 3), tf.float32, name="inputs")
    serve = tf.function(lambda inputs: {output: module.__call__(inputs, training=False)}, autograph=False)
    return serve.get_concrete_function(inputs)


@contextmanager
def _quick_save() -> Iterator[None]:
    """Compares tensors by identity while saving.

    The save looks captured tensors up in lists; with tensor equality on, each comparison builds an op, which is a
    third of the time for a large model. The bytes written are the same.
    """
    import tensorflow as tf

    tf.compat.v1.disable_tensor_equality()
    try:
        yield
    finally:
        tf.compat.v1.enable_tensor_equality()


@contextmanager
def _disk_errors_as_such(folder: Path) -> Iterator[None]:
    """TensorFlow reports a full disk as an error of its own; callers expect the operating system's."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(folder)) from error
        raise


def _write_extra(folder: Path, names: Sequence[labels.Label], provenance: Mapping[str, str]) -> None:
    """Writes what travels inside the module beside the graph: the class labels and where it comes from."""
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "provenance.json").write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
    if names:
        lines = [f"{index}\t{label.key}\t{label.name}\n" for index, label in enumerate(names)]
        (extra / "labels.tsv").write_text("index\tkey\tname\n" + "".join(lines), encoding="utf-8")


def convert(model: Model, names: Sequence[labels.Label], path: Path, out: Path, label: str = "") -> None:
    """Converts one checkpoint into out/classification and out/fe.

    Args:
        model: the section; its variant, image size and number of classes must fit the checkpoint.
        names: the labels in the order of the logits, or none.
        path: the checkpoint, an AugReg .npz.
        out: the member's folder. The SavedModels are replaced one after the other once both are whole.
        label: the member's name, for progress.

    Raises:
        Fault: when the checkpoint does not fit; nothing is converted then.
        OSError: when the disk is full or not writable.
    """
    arrays = checkpoint.load(path, model)
    provenance = {
        "checkpoint_sha256": sha256_of(path),
        "variant": model.variant,
        **{package: version(package) for package in ("flax", "jax", "tensorflow")},
    }
    # Only now: a checkpoint that does not fit is refused within a second or two.
    start_tensorflow()
    import jax
    import tensorflow as tf

    jax.config.update("jax_export_calling_convention_version", stablehlo.CALLING_CONVENTION + 1)
    # pop() frees each array as soon as its variable holds the values: the weights lie in memory once.
    variables = {name: tf.Variable(arrays.pop(name), name=name) for name in list(arrays)}
    with ExitStack() as stack:
        folders = {head: stack.enter_context(replacing_folder(out / head)) for head in OUTPUTS}
        progress = stack.enter_context(Progress(f"convert {label}", len(OUTPUTS), "modules"))
        for head, output in OUTPUTS.items():
            classes = model.classes if head == "classification" else None
            module = _module(model, classes, checkpoint.used(variables, head))
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
            with _quick_save(), _disk_errors_as_such(out / head):
                tf.saved_model.save(module, str(folders[head]), _signature(module, model, output), options)
            stablehlo.make_portable(folders[head])
            (folders[head] / "assets").rmdir()  # always written, always empty here
            _write_extra(folders[head], names if head == "classification" else (), provenance)
            progress.advance(1)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.convert", description="Converts a checkpoint.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="its checkpoint, an .npz file")
    parser.add_argument("out", type=Path, help="the member's folder, for classification/ and fe/")
    args = parser.parse_args(arguments)
    model = spec.load(args.member, "model", Model)
    names = labels.read(args.member.parent / model.labels, model.classes) if model.labels else ()
    convert(model, names, args.checkpoint, args.out, args.member.stem)
    return args.member.stem


if __name__ == "__main__":
    raise SystemExit(command("convert", main))
