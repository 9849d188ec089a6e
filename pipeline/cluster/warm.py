"""warm: imports the libraries of stages once, and serves copies of itself that run them (pipeline.base.forks).

    python -m pipeline.cluster.warm FOLDER READY KIND

listens at FOLDER/socket, writes a byte to the descriptor READY and leaves its parent. KIND is heavy, for the stages
that need TensorFlow and JAX, or light. It ends, and removes FOLDER, when nobody is connected to it.
"""

import gc
import os
import sys
from importlib import import_module
from pathlib import Path

from pipeline.base.environment import prepare_imports
from pipeline.base.forks import Server
from pipeline.cluster.folders import running, sweep_folders
from pipeline.cluster.frames import listen
from pipeline.cluster.needs import HEAVY

STAGES = {
    "light": ("fetch", "check", "published", "card", "collection", "package", "publish"),
    "heavy": HEAVY,
}


def import_stages(kind: str) -> None:
    """Imports all that the stages of a kind do; not the stages themselves, which run as __main__."""
    if kind == "heavy":
        prepare_imports()
        from pipeline.saved_model.load import import_libraries

        import_libraries()
    for stage in STAGES[kind]:
        import_module(f"pipeline.{stage}")
    for stage in STAGES[kind]:
        del sys.modules[f"pipeline.{stage}"]
    gc.collect()
    gc.freeze()  # a collection in a copy would write to all of them


def main() -> None:
    folder, ready, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sweep_folders()  # of servers that were killed on this node
    with running(folder):
        listener = listen(str(folder))
        # Ray kills the children of a worker with it; this process serves the other workers of the node, too.
        if os.fork():
            os._exit(0)
        os.setsid()
        os.write(ready, b"1")
        os.close(ready)
        import_stages(kind)
        Server(listener).serve()


if __name__ == "__main__":
    main()
