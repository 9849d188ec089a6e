"""Starts TensorFlow without its greeting, and loads a SavedModel."""

import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault


def start_tensorflow() -> None:
    """Imports TensorFlow and wakes its devices, with file descriptor 2 turned away meanwhile.

    TensorFlow 2.21 writes half a dozen lines about processor features and missing GPUs there before any setting of its
    log level takes effect. When the import fails, what it wrote is shown after all.

    Garbage is left alone meanwhile, which takes a quarter off the import, and what is there by then is never looked at
    again: modules, classes and functions stay.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal, collecting = os.dup(2), gc.isenabled()
    gc.disable()
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow as tf

            tf.constant(0)
        except BaseException:
            aside.seek(0)
            os.write(terminal, aside.read())
            raise
        finally:
            gc.freeze()
            if collecting:
                gc.enable()
            os.dup2(terminal, 2)
            os.close(terminal)


def load_saved_model(folder: Path) -> Any:
    """Loads a SavedModel as a user would.

    Raises:
        Fault: when it is missing or damaged.
    """
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except (OSError, IndexError, ValueError, tf.errors.OpError) as error:  # all seen of damaged files
        message = " ".join(str(error).split())
        raise Fault(f"{folder}: TensorFlow cannot load this SavedModel ({message}); run make convert again") from error
