"""Messages: how they list and suggest names."""

import pytest

from pipeline.base.fault import escape, list_names, nearest, show_name


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


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("IMAGNET", "IMAGENET"),
        ("MODLE", "MODEL"),  # as close to MODULE by its letters, which are not swapped ones
        ("model", "MODEL"),
        ("Modul", "MODULE"),
        ("FOO", None),
    ],
)
def test_the_nearest_name_is_suggested(name: str, suggestion: str | None) -> None:
    expected = f" (did you mean {suggestion!r}?)" if suggestion else ""
    assert nearest(name, ("IMAGENET", "MODULE", "MODEL", "SAMPLES")) == expected


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert escape("a\x1b[2J\nÄ\u2028") == "a\\x1b[2J\\nÄ\\u2028"


def test_names_of_strangers_are_shown_without_control_characters() -> None:
    assert show_name("a\x1b[31mb\n\udcff") == r"a\x1b[31mb\n\udcff"
    assert len(show_name("x" * 1000)) == 100
    assert show_name("x" * 300, 400) == "x" * 300
    assert len(show_name("x" * 1000, 400)) == 400
