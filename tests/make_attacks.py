"""Values and file names that would run a command if make, or a shell of it, read them as code."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, run_make

# What runs if something reads one of them as code makes a file in the folder where make runs, with "ran" in its name.
VALUES = (
    "'; touch ran; '", '"; touch ran; "', "'\"'; touch ran; '\"'", "\\'; touch ran; '\\", "$'\\'; touch ran",
    "$(touch ran)", "${IFS}$(touch ran)", "`touch ran`", "; touch ran", "| touch ran", "& touch ran &", "{};touch ran",
    "<(touch ran)", ">ran", "{a,$(touch ran)}", "!touch ran", "~$(touch ran)", "@touch ran", "+touch ran", "-touch ran",
    "\ntouch ran", "\n\ttouch ran\n", "\r\ntouch ran", "# '; touch ran", "% * ? [ ; touch ran",
    "x: ; touch ran", "x:;touch${IFS}ran", "://'; touch ran; '", "env:$(touch ran)", "env:HOME",
    "$(shell touch ran)", "${shell touch ran}", "$$(touch ran)", "$$(shell touch ran)",
    "$(eval x := $(shell touch ran))",
    "$(call quote,$(shell touch ran))", ")$(shell touch ran)(", ",$(shell touch ran)", ":$(shell touch ran)",
    "=$(shell touch ran)", "--help", "--report=ran", "-c'touch ran'",
    "a\\", "\\", "$", "$$", "'", '"', "`", "Tom's models", "a  b", "\x01\x7f",
)  # fmt: skip
# Their values are names that make knows, or 1 and 0; everything else is refused.
SWITCHES = (
    "OFFLINE",
    "REQUIRE_ACCURACY",
    "V",
    "BACKGROUND",
    "AGAINST_BACKGROUND",
    "TRUST",
    "DIFF",
    "FRESH",
    "REVOKE",
    "MOVE",
)
CHECKED = ("MODEL", "COLLECTION", "ARTIFACTS", "PYTHON", "BASE_PYTHON", "RUNNER", "PARTS", *SWITCHES)
PATHS = ("HUB", "MODULE", "FROM", "TO", "SAVED_MODEL", "CHECKPOINT")  # they cannot begin with `-`
COMMAND_LINE_ONLY = ("TO=there", "FROM=then", "OUTPUT=there")  # without which some goals are refused
ARTIFACTS = "o'brien$(touch${IFS}ran)\"#1&{}"
GOALS = (
    *("publish-all", "select", "add", "contact-sheet", "evaluate", "doctor", "check-hub", "serve", "imagenet"),
    *("yank", "unyank", "deprecate", "undeprecate", "alias", "release-plan", "release", "bench", "check-full"),
    *("verify", "keys", "sign", "renew", "reproduce", "release-notes", "new", "formats"),
)
SETTINGS = re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
# Stands in for an interpreter: writes its arguments to words, each with a NUL after it.
RECORDER = """#!/bin/sh
if [ "$1" = -c ]; then echo 3.11; else printf '%s\\0' "$@" >> words; fi
"""


def names_of_make() -> list[str]:
    """Returns every variable that the Makefiles assign or read, and make's own, but for settings."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "setup.mk"))
    read = re.findall(r"\$[({](?:call |value )?([\w.-]+)", text)
    assigned = re.findall(r"^(?:override |define |export )*([\w.-]+) *(?::|\?|\+)?=", text, re.MULTILINE)
    own = ("1", "2", "3", "MAKE", "VPATH", "GPATH", "SUFFIXES", ".LIBPATTERNS", ".VARIABLES")
    return sorted({*read, *assigned, *own} - {*SETTINGS, "MAKEFLAGS"})  # make's own options


def has_run(tree: Path) -> bool:
    """Whether a command of an attack ran in a tree."""
    return bool(list(tree.glob("*ran")))


def write_recorder(tree: Path) -> str:
    """Writes the stand-in for an interpreter, in a path that must be quoted; returns its setting."""
    python = tree / "my 'python'"
    python.write_text(RECORDER)
    python.chmod(0o755)
    return f"PYTHON={python}"


@dataclass(frozen=True)
class Passed:
    """What make did with a value.

    Attributes:
        fault: what make wrote to standard error, "" where it ran all recipes.
        values: the values of the settings in the command lines of the recipes.
    """

    fault: str
    values: list[str]


def pass_everywhere(tree: Path, value: str, in_environment: bool = False) -> Passed:
    """Runs every recipe with a value in every setting that takes any.

    Args:
        tree: where make runs; its collection is `tiny`, its member `mini`.
        value: the value, after ./ where a path begins with `-`.
        in_environment: give the settings in the environment instead of on the command line.
    """
    given = {name: value for name in SETTINGS if name not in CHECKED}
    given |= {name: f"./{value}" for name in PATHS if value.lstrip().startswith("-")}
    words = ("-k", *GOALS, "MODEL=mini", "COLLECTION=tiny", f"ARTIFACTS={ARTIFACTS}", write_recorder(tree))
    if in_environment:
        done = run_make(tree, *words, *COMMAND_LINE_ONLY, **given)
    else:
        done = run_make(tree, *words, *(f"{name}={value}" for name, value in given.items()))
    record = tree / "words"
    passed = os.fsdecode(record.read_bytes()).split("\0")[:-1] if record.exists() else []
    record.unlink(missing_ok=True)
    assert (done.returncode == 0) == (done.stderr == ""), done.stderr
    return Passed(done.stderr, [re.sub("^(--[a-z-]+|hub|hub_url)=", "", word, flags=re.DOTALL) for word in passed])


def attack_names(tree: Path, names: Sequence[str]) -> Iterator[str]:
    """Yields each name that runs a command as a variable of the command line or of the environment."""
    words = ("-n", "publish-all", "COLLECTION=tiny", write_recorder(tree))
    for name in names:
        for value in ("$(shell touch ran)", "'; touch ran; '"):
            for level in ("0", "1"):  # in a make that another one runs, foreign names are no mistake
                run_make(tree, *words, f"{name}={value}", MAKELEVEL=level)
            run_make(tree, *words, **{name: value})
        if has_run(tree):
            yield name
            (tree / "ran").unlink()
