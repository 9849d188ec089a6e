"""Compares the counts in a collection's prose with its list.

The reference collection counted eight models in one sentence and seven in the next. Authors write this prose, so it
cannot be rendered again: counts are searched in it.
"""

import bisect
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from pipeline.base.templates import NUMBER_WORDS, in_words
from pipeline.cards.page import Page, Problem

_MODULES_PER_NOUN = {
    "model": 1, "image classifier": 1, "classifier": 1, "feature extractor": 1, "module": 2,
}  # fmt: skip
_WORDS = (
    *NUMBER_WORDS, "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_SPELLED = "|".join(sorted(_WORDS[1:], key=len, reverse=True))
# "about 50,000 Vision Transformers" and "than three models" count something else, "one of the models" nothing at all.
_COUNT = (
    r"(?i)(?P<about>\b(?:about|around|over|nearly|more than|less than|of the|among|compared with|compared to"
    r"|than|unlike|tried|out of) )?"
    rf"(?<![\w\[.-])(?P<count>{_SPELLED}|\d[\d,]{{0,12}})\b(?!\s+of\s+the\s+(?:models|modules)\b)"
    r"(?:\s+(?!of\b)[\w-]+|\s+of\s+the\s+best){0,4}?"
    r"\s+(?P<noun>NOUNS)s?\b"
)
# "Each model comes as one classifier" counts for one of them, "each of the eight models" does not.
_EACH = re.compile(r"\b(?:each|every|per)\b(?!\s+of\s+(?:the|these|our)\b)", re.IGNORECASE)
_END = re.compile(r"[.!?]")


def collection_problems(page: Page, families: Collection[str] = (), lists_all: bool = True) -> list[Problem]:
    """Returns where a collection's page contradicts itself: its counts, and its two lists with each other.

    Args:
        page: the page.
        families: what its models are called, such as "Vision Transformer". Of several families, the page may count the
            models of each, which is not compared.
        lists_all: whether the page lists all models that its prose counts; otherwise its lists alone are compared.
    """
    classifiers, extractors = _links(page, "Image classifiers"), _links(page, "Feature extractors")
    modules_per_noun = _MODULES_PER_NOUN | {family.lower(): 1 for family in families if family and len(families) == 1}
    problems = list(_wrong_counts(page, len(classifiers), modules_per_noun)) if lists_all else []
    for heading, links in (("Image classifiers", classifiers), ("Feature extractors", extractors)):
        for link in sorted(link for link, count in Counter(links).items() if count > 1):
            problems.append(Problem(len(page.lines), f"{heading!r} lists {link!r} twice"))
    if len(classifiers) != len(extractors) or not classifiers:
        text = f"the page lists {len(classifiers)} image classifiers and {len(extractors)} feature extractors"
        problems.append(Problem(len(page.lines), f"{text}, expected as many of each, and at least one"))
    return problems


def _wrong_counts(page: Page, models: int, modules_per_noun: Mapping[str, int]) -> Iterator[Problem]:
    """Yields the counts that differ from the number of models that the page lists; each model is two modules."""
    counted = re.compile(_COUNT.replace("NOUNS", "|".join(map(re.escape, modules_per_noun))))
    for piece in page.paragraphs():
        each = [match.end() for match in _EACH.finditer(piece.text)]
        ends = [match.start() for match in _END.finditer(piece.text)]
        for match in counted.finditer(piece.text):
            if match["about"] or _last(each, match.start()) > _last(ends, match.start()):
                continue
            word = match["count"].lower()
            count = _WORDS.index(word) if word in _WORDS else int(word.replace(",", ""))
            expected = models * modules_per_noun[match["noun"].lower()]
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
