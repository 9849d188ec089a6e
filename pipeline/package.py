"""package: packs a SavedModel into the tarball that TensorFlow Hub's client loads, the same bytes every time.

    python -m pipeline.package FOLDER OUT.tar.gz

writes OUT.tar.gz and OUT.tar.gz.sha256, which `sha256sum -c` reads, and OUT.tar.gz.json, which tells publish what the
tarball holds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.files import write_text
from pipeline.saved_model.packing import pack
from pipeline.saved_model.packing_record import write_record


def package(folder: Path, out: Path) -> str:
    """Packs the content of a model's folder and returns the SHA-256 of the tarball.

    Raises:
        Fault, OSError: as pack() does.
    """
    packed = pack(folder, out, f"package {out.parent.name}")
    write_text(out.with_name(out.name + ".sha256"), f"{packed.sha256}  {out.name}\n")
    write_record(out, packed.sha256, packed.content_sha256)
    return packed.sha256


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.package", description="Packs a SavedModel.")
    parser.add_argument("folder", type=Path, help="the SavedModel's folder")
    parser.add_argument("out", type=Path, help="the tarball to write")
    args = parser.parse_args(arguments)
    package(args.folder, args.out)
    return f"{args.out.parent.name}/{args.out.name}"


if __name__ == "__main__":
    raise SystemExit(command("package", main))
