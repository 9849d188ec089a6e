"""Each attack is refused in one sentence; damaged files are read or refused: no traceback, no signal, no hang."""

import functools
import importlib
import os
from typing import Any

import pytest

from tests.hostile import AREAS
from tests.hostile.attack import Attack, Fuzz
from tests.hostile.isolation import Outcome
from tests.hostile.planted import PLANTED
from tests.hostile.run import Result, judge, read_results

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes as Linux can")


@functools.cache
def run_area(area: str, *options: str) -> list[Result]:
    """Runs the attacks or the fuzz of an area in one process."""
    return list(read_results(area, *options))


def list_cases(kind: str) -> list[Any]:
    """Returns each attack (ATTACKS) or fuzz (FUZZES) with its area, which one worker of a run runs."""
    return [
        pytest.param(area, case, id=f"{area}-{case.name}", marks=pytest.mark.xdist_group(area))
        for area in AREAS
        for case in getattr(importlib.import_module(f"tests.hostile.{area}"), kind, ())
    ]


@pytest.mark.parametrize(("area", "attack"), list_cases("ATTACKS"))
def test_an_attack_is_refused(area: str, attack: Attack) -> None:
    (result,) = [result for result in run_area(area) if result.name == attack.name]
    assert not result.problem, result.output


@pytest.mark.slow
@pytest.mark.parametrize(("area", "fuzz"), list_cases("FUZZES"))
def test_a_damaged_file_is_read_or_refused(area: str, fuzz: Fuzz) -> None:
    names = (f"{fuzz.name} #", f"{fuzz.name}, undamaged")
    results = [result for result in run_area(area, "--fuzz", "100") if result.name.startswith(names)]
    problems = [f"{result.name}: {result.problem}\n{result.output}" for result in results if result.problem]
    assert not problems, "\n".join(problems)
    assert len(results) > 100
    assert any(result.refused for result in results)


@pytest.mark.parametrize("name", PLANTED)
def test_the_harness_sees_what_must_not_happen(name: str) -> None:
    (result,) = [result for result in run_area("planted") if result.name == name]
    problem = PLANTED[name][1]
    assert result.problem[: len(problem) or None] == problem, result


def test_a_hang_is_ended() -> None:
    assert judge(Outcome(-9, "", 10.1, 0, []), "good") == "still ran after 10 s"
