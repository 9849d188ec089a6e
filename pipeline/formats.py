"""formats: writes a published module in the formats of other runtimes, each proven there.

    python -m pipeline.formats MODULE OUT [FORMAT ...] [--member MEMBER.yaml]

MODULE is the folder of a module that pipeline.convert wrote. OUT gets plain/, model.tflite, model_int8.tflite,
onnx/model.onnx with config.json and further ones, as the FORMATs say, and formats.json: the digest of each file, and
what it was proven to keep. OUT appears when all is written and proven, or not at all.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.environment import CONVERT, prepare_environment
from pipeline.base.files import expand_home
from pipeline.base.program import program
from pipeline.base.sizes import show_size
from pipeline.base.status import Status
from pipeline.facts.formats import DEFAULT, FormatReport
from pipeline.runtimes.judging import describe_run
from pipeline.runtimes.modules import read_module
from pipeline.runtimes.table import FORMATS, require_packages, select_formats
from pipeline.runtimes.writing import check_target, write_formats


def describe(report: FormatReport) -> str:
    """Returns a line for a format: where it is, its size, and what was measured."""
    size = show_size(sum(file.size for file in report.files))
    return f"{report.name}: {FORMATS[report.name].path}, {size}; {describe_run(report)}"


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog=program("formats"), description="Writes a module in the formats of other runtimes, each proven there."
    )
    parser.add_argument("module", type=expand_home, help="the folder of a module that make convert wrote")
    parser.add_argument("out", type=expand_home, help="the folder to write: a new one, or one that this command wrote")
    parser.add_argument(
        "format", nargs="*", help=f"{', '.join(FORMATS)}, also with commas between (default: {', '.join(DEFAULT)})"
    )
    parser.add_argument("--member", type=Path, help="the member's YAML file, for handle, publisher and licence")
    args = parser.parse_args(arguments)
    formats = select_formats(args.format)
    require_packages(formats)
    check_target(args.module, args.out)
    module = read_module(args.module, args.member)
    with Status(f"formats {module.facts.publication.title}") as status:
        write_formats(module, args.out, formats, status.begin, lambda report: status.print(describe(report)))
    return f"{module.facts.publication.title}: {len(formats)} format{'s' if len(formats) > 1 else ''} in {args.out}"


if __name__ == "__main__":
    prepare_environment("formats", CONVERT)
    raise SystemExit(command("formats", main))
