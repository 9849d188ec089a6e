"""convert: a checkpoint to two SavedModels, the classifier and the feature extractor.

    python -m pipeline.convert MEMBER.yaml CHECKPOINT OUT

writes OUT/classification and OUT/fe. Both come from one load of the checkpoint and share its variables.
"""

import argparse
import errno
import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import checkpoint, golden, labels, origin, reusable, selftest, spec, stablehlo
from pipeline.fault import command
from pipeline.files import Progress, replacing_folder
from pipeline.tensorflow_start import start_tensorflow
from pipeline.version import VERSION
from pipeline.vit import Model


@contextmanager
def _quick_save() -> Iterator[None]:
    """Compares tensors by identity while saving, and leaves garbage alone.

    The save looks captured tensors up in lists by comparing them. TensorFlow's own comparison builds an operation each
    time, or at least asks whether it should: a third of the save of a large model. Collecting garbage among the
    millions of objects of its graphs is another tenth. The bytes written are the same.
    """
    import tensorflow as tf

    compare = tf.Tensor.__eq__
    tf.compat.v1.disable_tensor_equality()
    tf.Tensor.__eq__ = object.__eq__
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        tf.Tensor.__eq__ = compare
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


def provenance(path: Path, model: Model, section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a module says of its making; nothing that differs between machines, users or days.

    That includes the source of the checkpoint: the same weights from another source are the same variables in a module
    that says another thing of where they come from.
    """
    return {
        "checkpoint": {"name": section["name"]} | origin.read(path).lasting(),
        "model": {name: value for name, value in asdict(model).items() if name != "labels"},
        "platforms": stablehlo.PLATFORMS,
        "calling_convention": stablehlo.CALLING_CONVENTION,
        "stablehlo": stablehlo.STABLEHLO_VERSION,
        "versions": {"vit-publisher": VERSION}
        | {package: version(package) for package in ("flax", "jax", "tensorflow")},
    }


def _write_extra(
    folder: Path, names: Sequence[labels.Label], record: Mapping[str, Any], test: Mapping[str, np.ndarray]
) -> None:
    """Writes what travels inside the module beside the graph: labels, provenance, the self-test and its script."""
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "provenance.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    np.savez(extra / "selftest.npz", allow_pickle=False, **test)
    (extra / "selftest.py").write_bytes(Path(selftest.__file__).read_bytes())
    if names:
        lines = [f"{index}\t{label.key}\t{label.name}\n" for index, label in enumerate(names)]
        (extra / "labels.tsv").write_text("index\tkey\tname\n" + "".join(lines), encoding="utf-8")


def convert(
    model: Model, names: Sequence[labels.Label], section: Mapping[str, Any], path: Path, out: Path, label: str = ""
) -> None:
    """Converts one checkpoint into out/classification and out/fe.

    Args:
        model: the section `model`; its variant, image size and number of classes must fit the checkpoint.
        names: the labels in the order of the logits, or none.
        section: the section `checkpoint`, as plain values.
        path: the checkpoint, an AugReg .npz.
        out: the member's folder. The SavedModels are replaced one after the other once both are whole.
        label: the member's name, for progress.

    Raises:
        Fault: when the checkpoint does not fit; nothing is converted then.
        OSError: when the disk is full or not writable.
    """
    arrays = checkpoint.load(path, model)
    pixels = golden.pixels(model)
    # The self-test's outputs and the checkpoint's digest are computed beside the slow import.
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        outputs = pool.submit(golden.outputs, model, dict(arrays), selftest.scaled(pixels))
        record = pool.submit(provenance, path, model, section)
        # Only now: a checkpoint that does not fit is refused within a second or two.
        start_tensorflow()
        import jax
        import tensorflow as tf

        jax.config.update("jax_export_calling_convention_version", stablehlo.CALLING_CONVENTION + 1)
        # pop() lets go of each array; its memory is free once the self-test is done with it.
        variables = {name: tf.Variable(arrays.pop(name), name=name) for name in list(arrays)}
        folders = {head: stack.enter_context(replacing_folder(out / head)) for head in reusable.OUTPUTS}
        progress = stack.enter_context(Progress(f"convert {label}", len(folders), "modules"))
        for head, folder in folders.items():
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
            with _quick_save(), _disk_errors_as_such(out / head):
                module = reusable.build(model, head, checkpoint.used(variables, head))
                tf.saved_model.save(module, str(folder), reusable.signatures(module, model, head), options)
            stablehlo.make_portable(folder)
            (folder / "assets").rmdir()  # always written, always empty here
            test = {"pixels": pixels, "outputs": outputs.result()[head], "tolerance": np.array(model.tolerance)}
            _write_extra(folder, names if head == "classification" else (), record.result(), test)
            progress.advance(1)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.convert", description="Converts a checkpoint.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="its checkpoint, an .npz file")
    parser.add_argument("out", type=Path, help="the member's folder, for classification/ and fe/")
    args = parser.parse_args(arguments)
    model = spec.load(args.member, "model", Model)
    names = labels.read(args.member.parent / model.labels, model.classes) if model.labels else ()
    section = spec.sections(args.member)["checkpoint"]
    convert(model, names, section, args.checkpoint, args.out, args.member.stem)
    return args.member.stem


if __name__ == "__main__":
    raise SystemExit(command("convert", main))
