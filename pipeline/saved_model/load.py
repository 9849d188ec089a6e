"""Starts TensorFlow without its log lines, and loads a SavedModel."""

import gc
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.saved_model.programs import keep_jax_programs

_LIBRARIES = (
    "jax.experimental.jax2tf", "pipeline.checkpoints.npz", "pipeline.model.flax_network", "pipeline.model.networks",
)  # fmt: skip
# What TensorFlow's Python raises for damaged or crafted files; each was seen, or is what its lookups and casts raise.
_DAMAGED = (
    OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError, NotImplementedError,
    ArithmeticError, MemoryError,
)  # fmt: skip


def import_tensorflow() -> None:
    """Imports TensorFlow, with stderr redirected meanwhile. It starts no threads.

    TensorFlow 2.21 writes several lines about processor features and missing GPUs to file descriptor 2 before its log
    level takes effect. They are shown only if the import fails.

    Garbage collection is off meanwhile, which makes the import a quarter faster, and later collections ignore all
    objects that exist by its end: modules, classes and functions stay anyway.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _quiet():
            import tensorflow as tf
        tf.get_logger().setLevel("ERROR")  # one line for each variable of a model of TensorFlow 1, say
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def import_libraries() -> None:
    """Imports TensorFlow, JAX, and what converts networks: what several processes need, before there are several.

    It starts no threads. No network is among it: the file of one's own may compute at import, which starts threads.
    """
    import_tensorflow()
    for name in _LIBRARIES:
        import_module(name)
    keep_jax_programs()


def start_tensorflow() -> None:
    """Imports TensorFlow and initializes its devices, with stderr redirected meanwhile."""
    import_tensorflow()
    import tensorflow as tf

    with _quiet():
        tf.constant(0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Redirects file descriptor 2; what was written is shown only if the block fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def load_saved_model(folder: Path, name: str = "", tags: Sequence[str] | None = None) -> Any:
    """Loads a SavedModel with tf.saved_model.load.

    Args:
        folder: its folder.
        name: what to call it in messages; the folder where none is given.
        tags: those of its meta graph; None for TensorFlow's own choice.

    Raises:
        Fault: when it is missing or damaged, or this TensorFlow cannot load it.
    """
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder), tags=tags)
    except (*_DAMAGED, tf.errors.OpError) as error:
        message = textwrap.shorten(
            (str(error) or type(error).__name__).replace(str(folder), name or str(folder)), 400, placeholder=" ..."
        )
        raise Fault(
            f"{name or folder}: TensorFlow cannot load this SavedModel ({message}); make doctor shows"
            " what it needs, and a damaged one must be written or downloaded again"
        ) from error
