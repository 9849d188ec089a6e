"""Hostile pages of a hub that others write to: make check-hub and make site read them."""

import json
from pathlib import Path

import pipeline.audit  # noqa: F401
import pipeline.site  # noqa: F401 (what command() runs, as is the one above)
from pipeline.cards import agreement, counts, tf_hub_rules
from pipeline.cards.agreement import Models
from pipeline.cards.page import read_page, refuse_problems
from pipeline.hub.markdown import render_page
from tests.hostile.attack import Attack, Fuzz, command

SIZE = 60_000  # bytes of a page; at most 250,000 are read
CARD = """\
# Module someone/a_classification/1
An image classifier trained on Fashion-MNIST.
<!-- asset-path: https://example.org/someone/a_classification/1.tar.gz -->
<!-- fine-tunable: true -->
<!-- format: saved_model_2 -->
<!-- task: image-classification -->

## Overview

It takes images at 28x28 pixels [1]. See the [collection](../collections/c/1.md).

| what | value |
|---|---|
| top-1 accuracy | 90 % |

```python
import tensorflow_hub as hub
```

## References

[1] [A paper](https://example.org/paper)

"""
COLLECTION = """\
# Collection someone/c/1
A collection of models trained on Fashion-MNIST.
<!-- task: image-classification -->

## Overview

This collection has one model.

## Image classifiers

- [A](../../a_classification/1.md)

## Feature extractors

- [A](../../a_fe/1.md)

## Performance

| model | measured | quoted |
|---|---|---|
| [A](../../a_classification/1.md) | 90 % | |

"""


def write_hub(folder: Path, card: str = CARD, collection: str = COLLECTION) -> Path:
    """Writes a hub of a module and a collection, without the tarball, into `folder`/out; returns a file beside it."""
    hub = folder / "out/hub"
    entry = {"title": "A", "task": "image-classification", "dataset": "Fashion-MNIST", "image_size": 28}
    file = {"size": 1, "sha256": "0" * 64}
    for path, text in {"a_classification/1": card, "collections/c/1": collection}.items():
        (hub / "someone" / path).parent.mkdir(parents=True)
        (hub / f"someone/{path}.md").write_text(text, encoding="utf-8")
    (hub / "someone/someone.md").write_text("# Publisher someone\nSomeone\n", encoding="utf-8")
    modules = {
        "someone/a_classification/1": entry
        | {"files": [file | {"path": f"someone/a_classification/1{end}"} for end in (".tar.gz", ".md")]}
    }
    collections = {"someone/collections/c/1": {"files": [file | {"path": "someone/collections/c/1.md"}]}}
    (hub / "index.json").write_text(json.dumps({"modules": modules, "collections": collections}), encoding="utf-8")
    (folder / "page.md").write_text(card, encoding="utf-8")
    return folder / "page.md"


def read(path: Path) -> None:
    """Renders the website of the hub beside a file, then checks the hub."""
    hub = path.parent / "out/hub"
    try:
        command("site", hub)
    except SystemExit as end:
        if end.code:
            raise
    command("audit", hub)


def _fill(part: str) -> str:
    return part * (SIZE // len(part))


def _card(name: str, more: str, sentence: str = "problems? in ") -> Attack:
    """Returns the attack of a card with more text at its end."""
    return Attack(name, lambda folder: write_hub(folder, CARD + more), read, sentence)


def _page(name: str, card: str, sentence: str = "problems? in ") -> Attack:
    return Attack(name, lambda folder: write_hub(folder, card), read, sentence)


def _collection(name: str, more: str, sentence: str = "problems? in ") -> Attack:
    """Returns the attack of a collection's page with more text at its end."""
    return Attack(name, lambda folder: write_hub(folder, collection=COLLECTION + more), read, sentence)


def _overview(name: str, more: str, sentence: str = "problems? in ") -> Attack:
    """Returns the attack of a card with more text in its overview."""
    return _page(name, CARD.replace("It takes", f"{more}\n\nIt takes"), sentence)


_TAG = "<!-- format"  # among the tags
# What took quadratic time or more, or ended in a traceback; and what markdown-it itself bounds.
ATTACKS = (
    _card("headings", _fill("# a\n"), "more problems; correct these first"),
    _card("comments on a line", f"{'<!-- a -->' * 4_000}x\n", "raw HTML, "),
    _card("comments on lines", _fill("<!-- a: b -->\n"), "has no effect here"),
    _card("comments without an end", _fill("<!--\n\n"), "raw HTML, "),
    _page("a tag of spaces", CARD.replace(_TAG, f"<!--{' ' * SIZE}a\n{_TAG}"), "is among the tags"),
    _page("many tags", CARD.replace(_TAG, _fill("<!-- license: a -->\n") + _TAG), "'a' is not a license"),
    _page("a long description", CARD.replace("An image", f"{'a' * SIZE} image. It"), "must be one sentence"),
    _card("pictures within pictures", f"{'![' * 3_000}a{'](b)' * 3_000}\n"),
    _card("links without an end", _fill("[a](")),
    _overview("citations", _fill("[7] "), r"\[7\] is cited"),
    _overview("a citation of many digits", f"[{'9' * 10_000}]\n"),
    _overview("a sentence without an end", _fill("models resized at 99x99 MIT trained on imagenet ")),
    _overview("parameters of many digits", f"It has 1{'0' * 5_000} parameters.\n"),
    _card("a link with a zero", "[a](b%00c.md)\n", "is dead: there is no such file"),
    _card("a link with a long name", f"[a]({'b' * 5_000}.md)\n", "is dead: there is no such file"),
    _page(
        "an asset-path that is none", CARD.replace("https://example.org/some", "http://[a/some"), "asset-path must be"
    ),
    _page("an escape code", CARD.replace("# Module", "# Module\x1b[2J"), r"\\x1b"),
    _page("a large page", CARD + " " * 500_000, "it has more than 250,000 bytes"),
    _collection("counts", f"They are {_fill('each. 3 models ')}", "but the page lists"),
    _collection("a count of many digits", f"They are {'9' * 10_000} models.\n"),
    _collection(
        "rows", _fill("| [A](../../a_classification/1.md) | 90 % | 91 % |\n"), "a quoted figure beside weights"
    ),
)


def _write_pages(folder: Path) -> list[Path]:
    """Writes a card and a page of a collection that keep all rules."""
    pages = {folder / "card.md": CARD, folder / "collection.md": COLLECTION}
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return list(pages)


def _judge(path: Path) -> None:
    """Renders a page, and checks it as check-hub does without the models that it is about."""
    page = read_page(path)
    render_page(page.text, "someone/a_classification/1.md", {"someone/collections/c/1.md"})
    models = Models(frozenset({28}), frozenset({"Mini/4"}), frozenset({335_498}), "Fashion-MNIST", "apache-2.0")
    problems = [*tf_hub_rules.problems(page), *agreement.page_problems(page, models)]
    refuse_problems(str(path), problems + (counts.collection_problems(page) if path.stem == "collection" else []))


FUZZES = (Fuzz("pages", _write_pages, _judge),)
