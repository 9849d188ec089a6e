"""Lets processes that run the same programs compile each of them once, by the persistent caches of TensorFlow and JAX.

The processes of a validate share them in any case. On a node of a cluster, where members of a few variants are made one
after the other, its stages do: PROGRAMS names a folder of the node, which goes with the process that has the imports
(pipeline.cluster.task). A program is found by the digest of all that it is compiled from; weights are its inputs, so
that members of one variant have the same programs.
"""

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.siblings import claiming

PROGRAMS = "VIT_PUBLISHER_PROGRAMS"  # the variable with the folder; nothing is kept without it
# Of TF_CPP_MIN_LOG_LEVEL, which is read when TensorFlow is imported: XLA takes settings of the code generator for
# features that this processor lacks, and calls that an error each time it reads a program. What TensorFlow's Python
# raises is not meant.
QUIET = "3"
_LARGEST = 10_000_000_000  # bytes of JAX's programs; with a bound, it reads and writes them under a lock
_SHORTEST = 0.1  # seconds that JAX compiles what it keeps: of shorter ones there are hundreds


@contextmanager
def shared_programs(beside: Path) -> Iterator[None]:
    """Lets this process and the jobs that it starts in the block compile each program for the CPU once.

    A module is compiled for each batch size, and again in a session, in the C API and for the forward pass of its
    gradients, always to the same program. To be entered before TensorFlow starts, which reads its settings once.

    Args:
        beside: without PROGRAMS, programs lie in a temporary folder, of which this is a sibling; what a killed process
            left is removed first.
    """
    if keep_tensorflow_programs():
        yield
        return
    with claiming(beside, "part") as folder:
        _use(folder)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def keep_tensorflow_programs() -> bool:
    """Has TensorFlow, before it starts, keep its programs for the CPU in PROGRAMS; returns False without PROGRAMS.

    Its cache does not tell programs apart that other flags of XLA compiled: each set of flags has a folder.
    """
    if kept := os.environ.get(PROGRAMS):
        flags = hashlib.sha256(os.environ.get("XLA_FLAGS", "").encode()).hexdigest()[:16]
        _use(Path(kept, f"tensorflow-{flags}"))
    return bool(kept)


def keep_apart() -> None:
    """Keeps the programs of this process, which has set XLA_FLAGS of its own, apart from those of shared_programs()."""
    os.environ.pop("TF_XLA_FLAGS", None)
    keep_tensorflow_programs()


def keep_jax_programs() -> None:
    """Has JAX, which is imported, keep its programs in PROGRAMS; does nothing without PROGRAMS.

    Each is compiled from what its key is a digest of, flags among it. A process that was killed while it wrote one
    leaves it damaged: it is compiled again, and JAX's warning is of no use to anybody.
    """
    if kept := os.environ.get(PROGRAMS):
        import jax

        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
        jax.config.update("jax_compilation_cache_dir", str(Path(kept, "jax")))
        jax.config.update("jax_compilation_cache_max_size", _LARGEST)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)


def _use(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Quoted, as XLA's parser takes it: the path may have spaces.
    quoted = str(folder.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    os.environ["TF_XLA_FLAGS"] = (
        f'--tf_xla_persistent_cache_directory="{quoted}" --tf_xla_persistent_cache_device_types=CPU'
    )
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = QUIET
