"""The benchmark of a large hub says which limit is missed."""

import pytest

from benchmarks.large_hub import Figure, Limits, check


@pytest.mark.parametrize(
    ("figure", "fault"),
    [
        (Figure(1.5, 1.2, 140e6), None),
        (Figure(2.5, 1.2, 140e6), "publish: 2.50 s, expected at most 2 s"),
        (Figure(1.5, 1.2, 160e6), "publish: 160 MB, expected at most 150 MB"),
    ],
)
def test_a_missed_limit_is_a_sentence(figure: Figure, fault: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("publish", figure, Limits(2.0, 150e6)) == fault
    assert capsys.readouterr().out == f"publish: {figure} (limit 2 s, 150 MB)\n"
    assert check("publish", figure, Limits(None, None)) is None
