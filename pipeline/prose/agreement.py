"""Compares the texts of a member and its collection with its own facts: what was copied from another one is found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import Fault
from pipeline.cards.agreement import Models, name_problems, title_problems
from pipeline.facts import datasets
from pipeline.images.labels import has_background
from pipeline.model.architecture import find_architecture
from pipeline.pool import names, upstream
from pipeline.prose.fields import Field, MemberTexts

_DATASET = Field(("collection", "dataset_name"), "")
_OPEN_TAGS = ("other", "multiple")


@dataclass(frozen=True)
class Disagreement:
    """A value that disagrees with another one.

    Attributes:
        field: where it stands.
        text: what is wrong with it.
        other: where the other one stands.
        to_do: what its author can do about it.
    """

    field: Field
    text: str
    other: Field
    to_do: str = "correct the one that is wrong"


def disagreements(texts: MemberTexts) -> Iterator[Disagreement]:
    """Yields where the YAML files contradict each other or themselves, without regard to sentences on pages."""
    yield from _recipe(texts)
    yield from _activation(texts)
    yield from _dataset(texts)
    yield from _names(texts)
    yield from _leftovers(texts)


def _recipe(texts: MemberTexts) -> Iterator[Disagreement]:
    """Yields where `model` is unlike the checkpoint, whose name says what it is where it is one of upstream's."""
    for key, expected in _facts_by_name(texts.checkpoint_name).items():
        value = getattr(texts.model, key)
        if value not in expected:
            words = " or ".join(map(repr, expected))
            text = f"{value!r}, but by its name the checkpoint has {words}"
            yield Disagreement(Field(("model", key), ""), text, Field(("checkpoint", "name"), ""))


def _facts_by_name(name: str) -> dict[str, tuple[Any, ...]]:
    """Returns what keys of the section `model` can be for a checkpoint of this name; {} for a name of one's own.

    The image size is not among them: a checkpoint can be converted for another one.
    """
    if file := upstream.file_called(name):
        return {
            "architecture": (file.release.architecture,),
            "variant": (file.variant,),
            "options": (file.options,),
        }
    try:
        recipe = names.parse(name)
    except Fault:
        return {}
    return {"variant": (recipe.variant,), "dropout": (recipe.do,)}


def _activation(texts: MemberTexts) -> Iterator[Disagreement]:
    if texts.evaluation.multi_label and texts.collection.activation != "sigmoid":
        text = "several classes an image, whose probabilities a softmax does not give; expected activation: sigmoid"
        yield Disagreement(Field(("evaluation", "multi_label"), False), text, Field(("collection", "activation"), ""))


def _dataset(texts: MemberTexts) -> Iterator[Disagreement]:
    collection, name = texts.collection, texts.collection.dataset_name
    known = datasets.mentions(name)
    if datasets.is_other(texts.evaluation.dataset, name):
        text = f"{texts.evaluation.dataset!r} does not name the collection's data set, {name!r}"
        yield Disagreement(Field(("evaluation", "dataset"), ""), text, _DATASET)
    classes = known[0].known.classes if known and known[0].end - known[0].start == len(name) else ()
    count = texts.model.classes - has_background(texts.labels)
    if classes and count not in classes:
        text = f"{count:,} classes, but {name} has {' or '.join(f'{count:,}' for count in classes)}"
        yield Disagreement(Field(("model", "classes"), 0), text, _DATASET)
    for path, value in (
        ("dataset_tag", collection.dataset_tag),
        ("huggingface_dataset", collection.huggingface_dataset),
    ):
        named = datasets.mentions(value or "")
        if named and value not in _OPEN_TAGS and not any(datasets.is_same(mention, name) for mention in named):
            text = f"{value!r} is another data set than {name!r}"
            yield Disagreement(Field(("collection", path), ""), text, _DATASET)


def _names(texts: MemberTexts) -> Iterator[Disagreement]:
    models = Models(
        sizes=frozenset({texts.model.image_size}),
        variants=frozenset({texts.model.variant}),
        families=frozenset({find_architecture(texts.model).tag}),
        dataset=texts.collection.dataset_name,
    )
    model = Field(("model", "variant"), "")
    for problem in title_problems(texts.module.title, models):
        yield Disagreement(Field(("module", "title"), ""), problem, model)
    for problem in name_problems(texts.name, models):
        yield Disagreement(model, f"the member's name, {problem}", model)


def _leftovers(texts: MemberTexts) -> Iterator[Disagreement]:
    """Yields paths to another collection's files, and references to data sets that no text names, nor cites them."""
    collection = texts.collection
    prose = {
        ("module", "note"): texts.module.note or "",
        **{("collection", key): getattr(collection, key) for key in ("summary", "training", "overview", "about")},
    }
    name = Field(("collection", "name"), "")
    for path, text in prose.items():
        for match in re.finditer(r"\bmodel_cards/([\w-]+)/", text):
            if match[1] != collection.name:
                problem = f"names {match[0]!r}, which belongs to another collection than {collection.name!r}"
                yield Disagreement(Field(path, ""), problem, name, "leave it out, or name a file of this collection")
    named_in_texts = {mention.known for text in prose.values() for mention in datasets.mentions(text)}
    groups = [group for text in prose.values() for group in re.findall(r"\[([\d, ]+)\]", text)]
    cited = {int(number) for group in groups for number in re.findall(r"\d{1,9}", group)}
    for number, reference in enumerate(collection.references, start=1):
        named = datasets.mentions(reference.text)
        is_own = any(datasets.is_same(mention, collection.dataset_name) for mention in named)
        is_other = named and not is_own and named_in_texts.isdisjoint(mention.known for mention in named)
        if is_other and number not in cited:
            problem = (
                f"{reference.text!r} is about another data set than {collection.dataset_name!r}, and no text cites it"
            )
            place = Field(("collection", "references", number - 1), "")
            yield Disagreement(place, problem, _DATASET, "cite it, or remove it")
