"""plain: writes the plain twin of a SavedModel that jax2tf wrote, of ordinary TensorFlow operations.

    python -m pipeline.plain [--bfloat16] IN OUT

IN is a folder, an archive or an address, as pipeline/saved_model/opening.py opens it; OUT a new or an
empty folder. docs/plain.md says what is kept, and what is refused; docs/bfloat16.md what --bfloat16 writes.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.program import program
from pipeline.base.status import Status
from pipeline.download import cache
from pipeline.saved_model.load import start_tensorflow
from pipeline.saved_model.remote import Downloads, open_model


def check_target(target: Path) -> None:
    """Refuses a place where something stands: nobody can tell a twin from the model that it was written from.

    Raises:
        Fault: says what stands there.
    """
    if target.is_dir() and any(target.iterdir()):
        raise Fault(f"{target}: the folder is not empty; expected a new or an empty folder, or remove it first")
    if os.path.lexists(target) and not target.is_dir():
        raise Fault(f"{target}: it is no folder; expected a new or an empty folder")


def run(name: str, target: Path, downloads: Downloads, is_bfloat16: bool = False) -> None:
    """Writes the plain or the bfloat16 twin of a named SavedModel, and prints what was recovered in it.

    Raises:
        Fault: as open_model(), check_target() and write_plain().
    """
    check_target(target)
    with Status("plain") as status, open_model(name, "IN", downloads) as (folder, note):
        if note:
            status.print(note)
        status.begin("starting TensorFlow")
        start_tensorflow()
        from pipeline.translate.bfloat16 import write_bfloat16
        from pipeline.translate.saved_models import write_plain

        write = write_bfloat16 if is_bfloat16 else write_plain
        try:
            twin = write(folder, target, status.begin)
        except Fault as fault:
            raise type(fault)(str(fault).replace(str(folder), name)) from None
        patterns = ", ".join(f"{count} {pattern}" for pattern, count in twin.patterns.items())
        gradients = "; ".join(f"{count} {how}" for how, count in twin.gradients.items())
        status.print(f"calls translated: {twin.calls}; recovered: {patterns or 'no patterns'}")
        status.print(f"gradients of the calls: {gradients}")
        status.print(f"graph: {twin.graph_bytes / 1e3:,.0f} kB, was {twin.source_bytes / 1e3:,.0f} kB")


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog=program("plain"), description="Writes the plain twin of a SavedModel.")
    parser.add_argument("source", metavar="IN", help="the folder, archive or address of a SavedModel of jax2tf")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder to write: a new or an empty one")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16, for GPUs and TPUs")
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    run(args.source, args.target, Downloads(cache.folder(args.cache), args.offline), args.bfloat16)
    return str(args.target)


if __name__ == "__main__":
    raise SystemExit(command("plain", main))
