"""docs/troubleshooting.md: each message that it quotes is what the program prints today."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.docs.errors import ERRORS, Place
from tests.test_published import folder as published_member  # noqa: F401 - a fixture

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
GAP = "…"  # in a quoted message: what differs from case to case


def sections(page: str) -> dict[str, str]:
    """Returns the text of each error, by its heading (### ...)."""
    parts = re.split(r"^#{2,3} (.*)$", page, flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading: texts[heading] for heading in re.findall(r"^### (.*)$", page, re.MULTILINE)}


def quoted(text: str) -> list[str]:
    """Returns the messages that a section quotes."""
    return [block.strip() for block in re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def contains(output: str, message: str) -> bool:
    """Returns whether a program printed a message, with anything but a line break in its gaps."""
    return re.search(".*".join(map(re.escape, message.split(GAP))), output) is not None


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where fetch writes a checkpoint."""
    path = tmp_path / "artifacts/m/checkpoint.npz"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client caches by handle, for ever; a port may come back with another hub behind it."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))


@pytest.mark.parametrize(
    ("heading", "make_error"),
    [
        pytest.param(heading, make_error, marks=[getattr(pytest.mark, mark) for mark in marks], id=make_error.__name__)
        for heading, (make_error, marks) in ERRORS.items()
    ],
)
def test_a_quoted_message_is_printed(
    heading: str, make_error: Callable[[Place], str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (place := tmp_path / "place").mkdir()
    output = make_error(Place(place, request))
    for message in quoted(sections(PAGE)[heading]):
        assert contains(output, message), f"{message!r} is not in:\n{output}"


def test_every_error_of_the_page_quotes_a_message_and_is_made() -> None:
    assert list(sections(PAGE)) == list(ERRORS)
    assert all(quoted(text) for text in sections(PAGE).values())


def test_a_message_is_found_only_where_it_is() -> None:
    assert contains("a 12 of 13\n", "a … of …")
    assert not contains("a 12\nof 13", "a … of …")
    assert not contains("a (b)", "a b")


def test_numbers_in_place_of_pixels_are_no_error(published: Path) -> None:
    """The first row of the page's last table: the answer is another one, and nothing says so."""
    import tensorflow as tf

    model = tf.saved_model.load(str(published / "artifacts/mini/classification"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    expected = model.signatures["serving_images"](images=pixels)["logits"].numpy()
    np.testing.assert_allclose(model((pixels.astype(np.float32) - 127.5) / 127.5), expected, atol=1e-5)
    assert np.abs(model(pixels.astype(np.float32)) - expected).max() > 0.01
