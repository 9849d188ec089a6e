"""Random sequences of faulty answers; `make check-full` runs thousands (benchmarks/hostile_downloads.py)."""

from collections import Counter
from pathlib import Path

import pytest

from tests.download.faults import CONTENT, resource_headers, run_sequence
from tests.faulty_server import faulty


def test_a_download_survives_faults_or_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[bool] = Counter()
    with faulty(CONTENT, headers=resource_headers()) as server:
        for seed in range(40):
            outcomes[bool(run_sequence(server, tmp_path / "cache", seed))] += 1
    assert min(outcomes[True], outcomes[False]) > 3
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)
