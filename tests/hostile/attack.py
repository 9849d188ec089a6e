"""How an attack, and a fuzz, is described."""

import importlib.util
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Attack:
    """A file that must be refused.

    Attributes:
        name: of the attack, unique in its area.
        make: writes the file, and what belongs to it, into an empty folder; returns its path.
        act: does with the path what the product does with such a file. It may write into a folder `out` beside it.
        sentence: a regular expression that the refusal must contain.
    """

    name: str
    make: Callable[[Path], Path]
    act: Callable[[Path], object]
    sentence: str


@dataclass(frozen=True)
class Fuzz:
    """Well-formed files that are damaged at random; each must be read, or refused in one sentence.

    Attributes:
        name: the kind of file, unique in its area.
        make: writes the files into an empty folder, small ones; returns the paths of those to damage, one at a time.
        act: does with a damaged path what the product does with such a file, as in an Attack.
        parse: json.loads, or what else makes such values of a file; every second damage is to them, written as JSON.
    """

    name: str
    make: Callable[[Path], list[Path]]
    act: Callable[[Path], object]
    parse: Callable[[bytes], Any] | None = None


def command(stage: str, *arguments: str | Path) -> None:
    """Runs `python -m pipeline.<stage> <arguments>` in this process, to its SystemExit.

    An area imports the module of each stage that it runs, so that a process that is forked for an attack has it.
    """
    spec = importlib.util.find_spec(f"pipeline.{stage}")
    assert spec
    assert spec.origin
    sys.argv = [spec.origin, *map(str, arguments)]
    runpy.run_path(spec.origin, run_name="__main__")
