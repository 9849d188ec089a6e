"""Each attack is refused in one sentence; damaged files are read or refused: no traceback, no signal, no hang."""

import functools
import importlib
import os
from typing import Any

import pytest

from tests.hostile import AREAS
from tests.hostile.isolation import Outcome
from tests.hostile.planted import PLANTED
from tests.hostile.run import Result, judge, read_results

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes as Linux can")


@functools.cache
def run_area(area: str, *options: str) -> list[Result]:
    """Runs the attacks or the fuzz of an area in one process."""
    return list(read_results(area, *options))


def cases(area: str, kind: str) -> tuple[Any, ...]:
    """Returns the attacks (ATTACKS) or fuzzes (FUZZES) of an area."""
    return getattr(importlib.import_module(f"tests.hostile.{area}"), kind, ())


@pytest.mark.parametrize("area", AREAS)
def test_every_attack_is_refused(area: str) -> None:
    results = run_area(area)
    names = [attack.name for attack in cases(area, "ATTACKS")]
    assert [result.name for result in results] == names
    assert len(names) == len(set(names))
    assert not describe_problems(results)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("area", AREAS)
def test_damaged_files_are_read_or_refused(area: str) -> None:
    results = run_area(area, "--fuzz", "100")
    assert not describe_problems(results)
    for fuzz in cases(area, "FUZZES"):
        damaged = [result for result in results if result.name.startswith(f"{fuzz.name} #")]
        assert len(damaged) == 100
        assert any(result.refused for result in damaged)


def describe_problems(results: list[Result]) -> str:
    return "\n".join(f"{result.name}: {result.problem}\n{result.output}" for result in results if result.problem)


@pytest.mark.parametrize("name", PLANTED)
def test_the_harness_sees_what_must_not_happen(name: str) -> None:
    (result,) = [result for result in run_area("planted") if result.name == name]
    problem = PLANTED[name][1]
    assert result.problem[: len(problem) or None] == problem, result


def test_a_hang_is_ended() -> None:
    assert judge(Outcome(-9, "", 10.1, 0, []), "good") == "still ran after 10 s"
