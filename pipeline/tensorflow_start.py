"""Imports TensorFlow without its greeting, so that a stage's own lines can be read."""

import gc
import os
import sys
import tempfile


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
