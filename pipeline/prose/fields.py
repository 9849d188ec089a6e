"""The texts that YAML files bring to pages: where each stands, and a harmless text for its place."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.accuracy.section import Evaluation
from pipeline.facts.collection import Collection, Module
from pipeline.images.labels import Label
from pipeline.model.section import Model


@dataclass(frozen=True)
class MemberTexts:
    """What the pages of a member are made of before it is made.

    Attributes:
        name: the member's.
        checkpoint_name: the file's upstream name.
        model, evaluation, module: its sections.
        labels: in the order of the logits; may be empty.
        collection: it belongs to.
        hub_url: the public address of the hub.
    """

    name: str
    checkpoint_name: str
    model: Model
    evaluation: Evaluation
    module: Module
    labels: Sequence[Label]
    collection: Collection
    hub_url: str


@dataclass(frozen=True)
class Field:
    """A text of a YAML file.

    Attributes:
        path: leads to it from MemberTexts; the first part is a section of the member, "collection" or "hub_url".
        neutral: breaks no rule in its place.
        is_markdown: whether authors may use Markdown in it; all other texts are plain and cannot break a page's form.
        is_prose: whether it is sentences on the models.
        limit: how many characters it may have.
    """

    path: tuple[str | int, ...]
    neutral: Any
    is_markdown: bool = False
    is_prose: bool = False
    limit: int = 20_000  # 3,000 words; the longest text of this project has 600 characters

    @property
    def is_of_collection(self) -> bool:
        """Whether it stands in collection.yaml."""
        return self.path[0] in ("collection", "hub_url")

    @property
    def yaml_path(self) -> tuple[str | int, ...]:
        """The keys and indices that lead to it in its file."""
        return self.path[1:] if self.path[0] == "collection" else self.path

    @property
    def name(self) -> str:
        """What messages call it, such as "module.note" or "references[1].text"."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.yaml_path).lstrip(".")

    def get(self, texts: MemberTexts) -> Any:
        """Returns the text."""
        value: Any = texts
        for part in self.path:
            value = value[part] if isinstance(part, int) else getattr(value, part)
        return value

    def without(self, texts: MemberTexts) -> MemberTexts:
        """Returns the texts with the neutral one in this place."""
        replaced: MemberTexts = _replace(texts, self.path, self.neutral)
        return replaced


def _replace(value: Any, path: Sequence[str | int], new: Any) -> Any:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return (*value[:first], _replace(value[first], rest, new), *value[first + 1 :])
    return dataclasses.replace(value, **{first: _replace(getattr(value, first), rest, new)})


_TEXTS = (
    Field(("hub_url",), "https://example.org"),
    Field(("module", "title"), "Model"),
    Field(("module", "note"), None, is_markdown=True, is_prose=True),
    Field(("module", "recipe"), None, is_markdown=True, is_prose=True),
    Field(("module", "accuracy_waived"), None, limit=500),
    Field(("evaluation", "dataset"), "images"),
    Field(("evaluation", "reported", "source"), "https://example.org"),
    Field(("collection", "publisher", "id"), "publisher"),
    Field(("collection", "publisher", "name"), "Publisher"),
    Field(("collection", "publisher", "about"), "About.", is_markdown=True),
    Field(("collection", "publisher", "kaggle"), None),
    Field(("collection", "publisher", "contact"), None),
    Field(("collection", "summary"), "trained on images", is_prose=True),
    Field(("collection", "training"), "trained on images", is_prose=True),
    Field(("collection", "dataset_tag"), "other"),
    Field(("collection", "dataset_name"), "images"),
    Field(("collection", "license"), "apache-2.0"),
    Field(("collection", "overview"), "They are models.", is_markdown=True, is_prose=True),
    Field(("collection", "about"), "They are models.", is_markdown=True, is_prose=True),
    Field(("collection", "huggingface_dataset"), None),
    Field(("collection", "images_license"), None),
)


def fields_of(texts: MemberTexts) -> Iterator[Field]:
    """Yields every text that the member and its collection have."""
    for field in _TEXTS:
        if field.path != ("evaluation", "reported", "source") or texts.evaluation.reported:
            yield field
    for number in range(len(texts.collection.references)):
        place = ("collection", "references", number)
        yield Field((*place, "text"), "A paper")
        yield Field((*place, "url"), "https://example.org")
        yield Field((*place, "bibtex"), None, limit=60_000)  # a paper's 1,350 authors take 30 kB
