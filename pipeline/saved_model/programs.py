"""Lets processes that run the same programs compile each of them once, by the persistent caches of TensorFlow and JAX.

The processes of a validate share them in any case. On a node of a cluster, where members of a few variants are made one
after the other, all stages share them: KEPT names a folder of the node, which goes with the process that has the
imports (pipeline.cluster.task). A program is found by the digest of all that it is compiled from; weights are its
inputs, so that members of one variant have the same programs.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.siblings import claiming

KEPT = "VIT_PUBLISHER_PROGRAMS"  # the variable with the folder; nothing is kept without it
_LARGEST = 10_000_000_000  # bytes of JAX's programs; with a bound, it reads and writes them under a lock


@contextmanager
def shared_programs(beside: Path) -> Iterator[None]:
    """Lets this process and the jobs that it starts in the block compile each program for the CPU once.

    A module is compiled for each batch size, and again in a session, in the C API and for the forward pass of its
    gradients, always to the same program. To be entered before TensorFlow starts, which reads its settings once.

    Args:
        beside: without KEPT, programs lie in a temporary folder, of which this is a sibling; what a killed process left
            is removed first.
    """
    if kept := os.environ.get(KEPT):
        _use(Path(kept, "optimized"))
        yield
        return
    with claiming(beside, "part") as folder:
        _use(folder)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def share_quick_programs() -> None:
    """Has TensorFlow, before it starts, share only programs that were compiled without optimization, too.

    Its cache does not tell them from optimized ones. Without KEPT they are not shared: no process needs another's.
    """
    os.environ.pop("TF_XLA_FLAGS", None)
    if kept := os.environ.get(KEPT):
        _use(Path(kept, "quick"))


def keep_jax_programs() -> None:
    """Has JAX, which is imported, keep its programs in KEPT; does nothing without KEPT."""
    if kept := os.environ.get(KEPT):
        import jax

        jax.config.update("jax_compilation_cache_dir", str(Path(kept, "jax")))
        jax.config.update("jax_compilation_cache_max_size", _LARGEST)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # of shorter ones there are hundreds


def _use(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Quoted, as XLA's parser takes it: the path may have spaces.
    quoted = str(folder.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    os.environ["TF_XLA_FLAGS"] = (
        f'--tf_xla_persistent_cache_directory="{quoted}" --tf_xla_persistent_cache_device_types=CPU'
    )
    # XLA takes settings of the code generator for features that this processor lacks, and calls that an error each time
    # it reads a program. What TensorFlow's Python raises is not meant.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
