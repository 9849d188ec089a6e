"""Runs the attacks or the fuzz of one area; prints a line of JSON for each.

    python -m tests.hostile.run AREA                           the attacks
    python -m tests.hostile.run AREA --long                    those that take seconds
    python -m tests.hostile.run AREA --fuzz 100 [--seed 1]     100 damaged files of each kind
    python -m tests.hostile.run AREA --fuzz 100 --only 17      the 17th alone, with what it printed

It is a process of its own, since it forks: pytest has threads.
"""

import argparse
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.hostile.attack import Attack, Fuzz
from tests.hostile.damage import damage, damage_values
from tests.hostile.isolation import MEMORY, SECONDS, Outcome, isolate

_LONGEST = 3000  # letters of a refusal; long lists are cut


@dataclass(frozen=True)
class Result:
    """What an attack, or one damaged file, came to.

    Attributes:
        name: of the attack; of a fuzz "name #number".
        problem: what it did that it must not, or "".
        refused: whether the file was refused, not read.
        seconds: the wall time.
        memory: the peak of resident memory of the largest process, in bytes.
        output: what was printed.
    """

    name: str
    problem: str
    refused: bool
    seconds: float
    memory: int
    output: str


def judge(outcome: Outcome, sentence: str | None) -> str:
    """Returns what a process did that it must not, or "".

    Args:
        outcome: how it ended.
        sentence: a regular expression of the refusal that is due, or None when the file may also be read.
    """
    text = outcome.output
    if outcome.status == -9 and outcome.seconds >= SECONDS:
        return f"still ran after {SECONDS:.0f} s"
    if outcome.status < 0:
        return f"ended by signal {-outcome.status}"
    if "Traceback (most recent call last)" in text or outcome.status not in {0, 1}:
        return f"ended with a traceback, or with status {outcome.status}"
    if (outcome.status == 1 and len(text) > _LONGEST) or (outcome.status == 1 and not text.strip()):
        return f"refused in {len(text)} letters"
    if letters := set(re.findall(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]", text)):
        return f"printed control characters: {sorted(letters)}"
    if warning := re.search(r"^.*Warning: .*", text, re.MULTILINE):
        return f"printed a warning: {warning[0]}"
    if outcome.changes:
        return f"left or changed files: {outcome.changes[:5]}"
    if outcome.memory > MEMORY:
        return f"took {outcome.memory / 1e9:.2f} GB"
    if sentence is not None and outcome.status == 0:
        return "was not refused"
    if sentence is not None and not re.search(sentence, text):
        return f"its refusal lacks {sentence!r}"
    return ""


def run_attack(attack: Attack, root: Path) -> Result:
    """Makes the input in an empty folder, and runs the attack on it."""
    path = attack.make(prepare(root))
    outcome = isolate(attack.act, path, root)
    return describe(attack.name, outcome, judge(outcome, attack.sentence))


def run_fuzz(fuzz: Fuzz, count: int, seed: int, only: int | None, root: Path) -> Iterator[Result]:
    """Runs `count` damaged files, or the one with the number `only`; what they need is made once."""
    paths = fuzz.make(prepare(root))
    whole = {path: path.read_bytes() for path in paths}
    for path in paths:
        outcome = isolate(fuzz.act, path, root)
        yield describe(
            f"{fuzz.name}, undamaged {path.name}", outcome, judge(outcome, None) or "refused" * outcome.status
        )
    for number in range(count) if only is None else [only]:
        random = Random(f"{seed} {fuzz.name} {number}")
        path = random.choice(paths)
        if fuzz.parse and number % 2:
            path.write_bytes(damage_values(fuzz.parse(whole[path]), random))
        else:
            path.write_bytes(damage(whole[path], random))
        outcome = isolate(fuzz.act, path, root)
        path.write_bytes(whole[path])
        shutil.rmtree(path.parent / "out", ignore_errors=True)
        yield describe(f"{fuzz.name} #{number}", outcome, judge(outcome, None))


def prepare(root: Path) -> Path:
    """Empties `root` and makes its folders; returns that of the input."""
    for name in ("input", "tmp", "work"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir()
    return root / "input"


def describe(name: str, outcome: Outcome, problem: str) -> Result:
    """Returns the result of an outcome."""
    return Result(name, problem, outcome.status == 1, outcome.seconds, outcome.memory, outcome.output)


def read_results(area: str, *options: str) -> Iterator[Result]:
    """Runs this module as a process for an area; yields the results as they come.

    Raises:
        subprocess.CalledProcessError: when the harness itself fails.
    """
    command = [sys.executable, "-m", "tests.hostile.run", area, *options]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            yield Result(**json.loads(line))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("area")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--fuzz", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER")
    settings = parser.parse_args()
    area = importlib.import_module(f"tests.hostile.{settings.area}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if settings.fuzz is None:
            attacks = getattr(area, "LONG_ATTACKS" if settings.long else "ATTACKS", ())
            results: Iterator[Result] = (run_attack(attack, root) for attack in attacks)
        else:
            results = (
                result
                for fuzz in getattr(area, "FUZZES", ())
                for result in run_fuzz(fuzz, settings.fuzz, settings.seed, settings.only, root)
            )
        for result in results:
            json.dump(asdict(result), sys.stdout)
            print(flush=True)


if __name__ == "__main__":
    main()
