"""cli: the commands for people without a checkout, as the script `vit-publisher` of the wheel.

    vit-publisher COMMAND [ARGUMENT ...]
    python -m pipeline.cli COMMAND [ARGUMENT ...]

Runs `python -m pipeline.<COMMAND>`, with its options, its output and its exit status. A command whose extra is not
installed says how to install it, with exit status 1; an unknown command has exit status 2, as unknown options have.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.command import guarded
from pipeline.base.extras import install_line, missing_packages
from pipeline.base.fault import Fault, list_names, nearest
from pipeline.base.program import SCRIPT, run_by_script
from pipeline.version import VERSION


@dataclass(frozen=True)
class Command:
    """A command of the script.

    Attributes:
        module: in `pipeline`.
        extra: of pyproject.toml, which it cannot do without; "" if it needs none.
        summary: what it does, in a few words.
    """

    module: str
    extra: str
    summary: str


COMMANDS = {
    "doctor": Command("doctor", "doctor", "show what a SavedModel needs and what is wrong with it, without running it"),
    "evaluate": Command("evaluate", "evaluate", "measure an image classifier on labelled images"),
    "verify": Command("verify", "trust", "check a hub or a module from outside, and who signed it"),
    "reproduce": Command("reproduce", "convert", "make a published module again, and compare the bytes"),
    "formats": Command("formats", "runtimes", "write a module for LiteRT, ONNX and plain TensorFlow, each proven"),
    "serve": Command("serve", "serve", "serve a hub's folder over HTTP"),
    "keys": Command("keys", "trust", "make the keys of a signed hub, sign it, renew its signatures, replace keys"),
    "release": Command("release", "", "take a hub to a folder or an object store, by a plan"),
    "release-notes": Command("notes", "", "print what changed between two states of a hub"),
    "check-hub": Command("audit", "doctor", "check a hub's folder: bytes, pages, links, figures"),
}


def _describe_commands() -> str:
    """Returns the commands and their extras, a line each."""
    lines = [f"  {name:<15}{command.summary}{_bracket(command.extra)}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "commands:",
            *lines,
            "",
            f"[name] is an extra to install first, such as {install_line('serve')}.",
            f"{SCRIPT} COMMAND --help lists the options of a command.",
        ]
    )


def _bracket(extra: str) -> str:
    return f" [{extra}]" if extra else ""


def _parse(arguments: Sequence[str]) -> str:
    """Returns the name of the command. Help, the version and an unknown command end the process."""
    parser = argparse.ArgumentParser(
        prog=SCRIPT,
        usage=f"{SCRIPT} COMMAND [ARGUMENT ...]",
        description="Checks, measures and serves models that were published as TensorFlow Hub did.",
        epilog=_describe_commands(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{SCRIPT} {VERSION}")
    parser.add_argument("command", metavar="COMMAND", help="one of those below")
    name = str(parser.parse_args(arguments[:1]).command)
    if name not in COMMANDS:
        parser.error(f"unknown command {name!r}{nearest(name, COMMANDS)}; expected one of {', '.join(COMMANDS)}")
    return name


def _refuse_missing(name: str, extra: str) -> None:
    """Refuses a command whose extra is not installed."""
    if extra and (missing := missing_packages(extra)):
        verb = "is" if len(missing) == 1 else "are"
        raise Fault(f"{name} needs {list_names(missing, 5)}, which {verb} not installed; run: {install_line(extra)}")


def main() -> int:
    """Runs a command as the command line says; returns its exit status."""
    arguments = sys.argv[1:]
    name = _parse(arguments)
    command = COMMANDS[name]
    if status := guarded(SCRIPT, lambda: _refuse_missing(name, command.extra)):
        return status
    run_by_script(name)
    sys.argv = [f"{SCRIPT} {name}", *arguments[1:]]
    # Not an import: the module is to be __main__, as with `python -m`.
    runpy.run_module(f"pipeline.{command.module}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
