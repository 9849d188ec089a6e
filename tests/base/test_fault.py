"""Messages: how they list names."""

import pytest

from pipeline.base.fault import list_names


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_names_beyond_the_limit_are_counted(names: list[str], text: str) -> None:
    assert list_names(names, 3) == text
