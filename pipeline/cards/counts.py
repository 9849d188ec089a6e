"""Compares the counts in a collection's prose with its list.

The reference collection counted eight models in one sentence and seven in the next. Authors write this prose, so it
cannot be rendered again: counts are searched in it.
"""

import bisect
import re
from collections import Counter
from collections.abc import Iterator

from pipeline.base.templates import NUMBER_WORDS, in_words
from pipeline.cards.page import Page, Problem

_MODULES_PER_NOUN = {
    "vision transformer": 1, "model": 1, "image classifier": 1, "classifier": 1, "feature extractor": 1, "module": 2,
}  # fmt: skip
_WORDS = (
    *NUMBER_WORDS, "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_SPELLED = "|".join(sorted(_WORDS[1:], key=len, reverse=True))
# "about 50,000 Vision Transformers" and "than three models" count something else, "one of the models" nothing at all.
_COUNT = re.compile(
    r"(?P<about>\b(?:about|around|over|nearly|more than|less than|of the|among|compared with|compared to"
    r"|than|unlike|tried|out of) )?"
    rf"(?<![\w\[.-])(?P<count>{_SPELLED}|\d[\d,]{{0,12}})\b(?!\s+of\s+the\s+(?:models|modules)\b)"
    r"(?:\s+(?!of\b)[\w-]+|\s+of\s+the\s+best){0,4}?"
    rf"\s+(?P<noun>{'|'.join(_MODULES_PER_NOUN)})s?\b",
    re.IGNORECASE,
)
# "Each model comes as one classifier" counts for one of them, "each of the eight models" does not.
_EACH = re.compile(r"\b(?:each|every|per)\b(?!\s+of\s+(?:the|these|our)\b)", re.IGNORECASE)
_END = re.compile(r"[.!?]")


def collection_problems(page: Page) -> list[Problem]:
    """Returns where a collection's page contradicts itself: its counts, and its two lists with each other."""
    classifiers, extractors = _links(page, "Image classifiers"), _links(page, "Feature extractors")
    problems = list(_wrong_counts(page, len(classifiers)))
    for heading, links in (("Image classifiers", classifiers), ("Feature extractors", extractors)):
        for link in sorted(link for link, count in Counter(links).items() if count > 1):
            problems.append(Problem(len(page.lines), f"{heading!r} lists {link!r} twice"))
    if len(classifiers) != len(extractors) or not classifiers:
        text = f"the page lists {len(classifiers)} image classifiers and {len(extractors)} feature extractors"
        problems.append(Problem(len(page.lines), f"{text}, expected as many of each, and at least one"))
    return problems


def _wrong_counts(page: Page, models: int) -> Iterator[Problem]:
    """Yields the counts that differ from the number of models that the page lists; each model is two modules."""
    for piece in page.paragraphs():
        each = [match.end() for match in _EACH.finditer(piece.text)]
        ends = [match.start() for match in _END.finditer(piece.text)]
        for match in _COUNT.finditer(piece.text):
            if match["about"] or _last(each, match.start()) > _last(ends, match.start()):
                continue
            word = match["count"].lower()
            count = _WORDS.index(word) if word in _WORDS else int(word.replace(",", ""))
            expected = models * _MODULES_PER_NOUN[match["noun"].lower()]
            if count != expected:
                line = piece.line + piece.text[: match.start("count")].count("\n")
                text = f"{' '.join(match[0].split())!r}, but the page lists {in_words(expected)} of them"
                yield Problem(line, f"{text}; correct the sentence, or the list")


def _last(places: list[int], before: int) -> int:
    """Returns the last of some ordered places up to one of them, -1 without any."""
    index = bisect.bisect_right(places, before)
    return places[index - 1] if index else -1


def _links(page: Page, heading: str) -> list[str]:
    """Returns the targets of the links in a section."""
    section = page.section(heading)
    return [link.text for link in page.links() if link.line in section]
