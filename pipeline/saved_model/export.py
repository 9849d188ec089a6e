"""export: one head of a checkpoint as a SavedModel, in a process of its own.

    python -m pipeline.saved_model.export MODEL HEAD CHECKPOINT OUT

MODEL is the section `model` as JSON, OUT an empty folder. The checkpoint is one that fits: convert sees to that, and
ends this process if it does not. To start it takes no JAX; the process itself does.
"""

import argparse
import errno
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import sync_folder
from pipeline.base.heads import Head
from pipeline.model.variants import Model
from pipeline.saved_model.load import start_tensorflow

_STAGE = "convert"  # whose messages these are


@contextmanager
def _quick_save() -> Iterator[None]:
    """Compares tensors by identity while saving.

    The save looks captured tensors up in lists by comparing them. TensorFlow's own comparison builds an operation each
    time, or at least asks whether it should: a third of the save of a large model. The bytes written are the same.
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


def export(model: Model, head: str, path: Path, out: Path) -> None:
    """Writes a head's SavedModel, made portable, into an empty folder.

    Args:
        model: the section `model`.
        head: "classification" or "fe".
        path: the checkpoint, an AugReg .npz that fits.
        out: the folder.

    Raises:
        OSError: when the disk is full or not writable.
    """
    start_tensorflow()
    import jax
    import tensorflow as tf

    from pipeline.checkpoints import npz
    from pipeline.model.parameters import select_parameters
    from pipeline.saved_model import build, portable

    jax.config.update("jax_export_calling_convention_version", portable.CALLING_CONVENTION + 1)
    # Where in our source an operation comes from is stripped later (stablehlo.make_portable); here it costs time.
    jax.config.update("jax_traceback_in_locations_limit", 0)
    arrays = select_parameters(npz.mended(npz.read(path)), head)
    with _quick_save(), _disk_errors_as_such(out):
        # pop() lets go of the mapped file, array by array.
        variables = {name: tf.Variable(arrays.pop(name), name=name) for name in list(arrays)}
        module = build.build(model, head, variables)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
        tf.saved_model.save(module, str(out), build.signatures(module, model, head), options)
    with ThreadPoolExecutor(1) as disk:
        written = disk.submit(sync_folder, out / "variables")  # takes seconds, and no processor
        portable.make_portable(out)
        written.result()
    (out / "assets").rmdir()  # always written, always empty here
    sync_folder(out)


class Export:
    """An export under way in `process`, which writes what it has to say into a file."""

    def __init__(self, process: subprocess.Popen, said: IO[bytes]) -> None:
        self.process, self._said = process, said

    def finish(self) -> None:
        """Waits for its end.

        Raises:
            Fault: what it said, when it met one; or that it was killed.
            RuntimeError: with its traceback.
        """
        status = self.process.wait()
        if not status:
            return
        if status < 0:
            name = signal.Signals(-status).name
            raise Fault(f"a process of the conversion was ended by {name}; if nobody did it, the memory was too little")
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        if fault := re.search(rf"^{_STAGE}: (.+)", said, re.MULTILINE | re.DOTALL):
            raise Fault(fault[1].strip())
        raise RuntimeError(f"pipeline.saved_model.export ended with status {status}:\n{said}")


@contextmanager
def in_own_process(model: Model, head: str, path: Path, out: Path) -> Iterator[Export]:
    """Starts this module's command and ends it, at the latest, with the block."""
    command = [
        sys.executable,
        "-m",
        "pipeline.saved_model.export",
        json.dumps(asdict(model)),
        head,
        str(path),
        str(out),
    ]
    # TensorFlow writes Python files for temporary use, which it removes at the end of a process that ends by itself.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory() as temporary:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, env=os.environ | {"TMPDIR": temporary})
        try:
            yield Export(process, said)
        finally:
            process.kill()
            process.communicate()


def _end_with_parent() -> None:
    """Ends this process when its standard input is closed, as a killed parent's pipes are."""
    sys.stdin.read()
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.saved_model.export", description="Writes one head of a checkpoint."
    )
    parser.add_argument("model", type=json.loads, help="the section model as JSON")
    parser.add_argument("head", choices=list(Head))
    parser.add_argument("checkpoint", type=Path, help="an .npz file that fits")
    parser.add_argument("out", type=Path, help="an empty folder")
    args = parser.parse_args(arguments)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # looking for garbage among the millions of objects of a large model takes a tenth of the time
    export(Model(**args.model), args.head, args.checkpoint, args.out)


if __name__ == "__main__":
    status = guarded(_STAGE, lambda: main(sys.argv[1:]))
    sys.stderr.flush()
    os._exit(status)  # taking millions of objects apart, one by one, would take a second or two
