"""export: writes both heads of a checkpoint as SavedModels, in two processes that import TensorFlow and JAX once.

    python -m pipeline.saved_model.export MODEL FOLDER CHECKPOINT CLASSES CLASSIFICATION FE

MODEL is the section `model` as JSON, FOLDER that of the member's YAML file, CLASSES a file that
pipeline.saved_model.classes wrote, CLASSIFICATION and FE empty folders. The checkpoint must fit the model: convert
checks it at the same time, and ends these processes if it does not. start_export() imports neither TensorFlow nor JAX.

Two processes, since most of the work is Python in one thread. The imports take a third of the work.
"""

import argparse
import errno
import gc
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pipeline.base.files import sync_folder
from pipeline.base.heads import Head
from pipeline.base.jobs import Job, run_job, start_copy, start_job
from pipeline.model.section import Model
from pipeline.saved_model.classes import Classes, read_classes
from pipeline.saved_model.load import import_libraries, start_tensorflow

_MODULE = "pipeline.saved_model.export"


@contextmanager
def _quick_save() -> Iterator[None]:
    """Compares tensors by identity while saving.

    tf.saved_model.save searches lists for captured tensors. TensorFlow's own comparison builds an operation each time,
    or checks whether it should, which takes a third of the save of a large model. The bytes written are the same.
    """
    import tensorflow as tf

    compare = tf.Tensor.__eq__
    tf.compat.v1.disable_tensor_equality()
    tf.Tensor.__eq__ = object.__eq__
    try:
        yield
    finally:
        tf.Tensor.__eq__ = compare
        tf.compat.v1.enable_tensor_equality()


@contextmanager
def _raise_disk_errors(folder: Path) -> Iterator[None]:
    """Turns TensorFlow's errors about a full or read-only disk into OSError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(folder)) from error
        raise


def export(model: Model, folder: Path, head: Head, path: Path, out: Path, classes: Classes) -> None:
    """Writes a head's SavedModel into an empty folder and makes it portable.

    Args:
        model: the section `model`.
        folder: that of the member's YAML file.
        head: which of the two modules.
        path: the checkpoint, an .npz that fits.
        out: the folder.
        classes: what a classifier answers beside its logits.

    Raises:
        OSError: when the disk is full or not writable.
    """
    import jax
    import tensorflow as tf

    from pipeline.checkpoints import npz
    from pipeline.model.network import select_weights
    from pipeline.model.networks import open_network
    from pipeline.model.parameters import release_memory
    from pipeline.saved_model import build, portable
    from pipeline.saved_model.signatures import signatures

    jax.config.update("jax_export_calling_convention_version", portable.CALLING_CONVENTION + 1)
    # make_portable() removes the source locations of operations; not recording them saves time.
    jax.config.update("jax_traceback_in_locations_limit", 0)
    network = open_network(model, folder)
    arrays = select_weights(network, npz.read_parameters(path, network).arrays, head)
    with _quick_save(), _raise_disk_errors(out):
        variables = {}
        for name, value in arrays.items():
            variables[name] = tf.Variable(value, name=name, trainable=not network.frozen)
            release_memory([value])
        built = build.build(network, head, variables)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
        tf.saved_model.save(built.module, str(out), signatures(built, network, head, classes), options)
    with ThreadPoolExecutor(1) as disk:
        written = disk.submit(sync_folder, out / "variables")  # takes seconds of the disk, not of the processor
        portable.make_portable(out)
        written.result()
    (out / "assets").rmdir()  # TensorFlow always writes it; here it is empty
    sync_folder(out)


@contextmanager
def start_export(model: Model, folder: Path, path: Path, out: Mapping[Head, Path], classes: Classes) -> Iterator[Job]:
    """Starts the export of both heads in processes of their own, which end at the latest with the block.

    Args:
        model: the section `model`.
        folder: that of the member's YAML file.
        path: the checkpoint, an .npz that fits.
        out: an empty folder for each head.
        classes: what a classifier answers beside its logits.
    """
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "classes.json")
        classes.write(file)
        arguments: list[str | Path] = [json.dumps(asdict(model)), folder, path, file, *(out[head] for head in Head)]
        with start_job(_MODULE, arguments, "the export") as job:
            yield job


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description="Writes both heads of a checkpoint.")
    parser.add_argument("model", type=json.loads, help="the section model as JSON")
    parser.add_argument("folder", type=Path, help="that of the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="an .npz file that fits")
    parser.add_argument("classes", type=Path, help="the classes of the model, JSON")
    for head in Head:
        parser.add_argument(str(head), type=Path, help="an empty folder")
    args = parser.parse_args(arguments)
    gc.disable()  # with the millions of objects of a large model, collections take a tenth of the time
    classes = read_classes(args.classes)

    def write(head: Head) -> None:
        start_tensorflow()
        export(Model(**args.model), args.folder, head, args.checkpoint, vars(args)[head], classes)

    import_libraries()
    with start_copy(_MODULE, lambda: write(Head.FE)):
        write(Head.CLASSIFICATION)


if __name__ == "__main__":
    run_job(_MODULE, main)
