"""A checkpoint of upstream's other folders that is to become a member; see pipeline.pool.candidate."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.templates import render
from pipeline.facts.collection import read_collection
from pipeline.pool.datasets import Dataset
from pipeline.pool.drafts import MARGIN, name_part, title_part, wrap
from pipeline.pool.papers import Paper
from pipeline.pool.upstream import README, Release, UpstreamFile

_USUAL_SIZE = 224  # pixels, which names and titles leave out


@dataclass(frozen=True)
class Upstream:
    """A file of one of upstream's releases at one of its image sizes, in pixels."""

    file: UpstreamFile
    image_size: int

    @property
    def checkpoint(self) -> str:
        return self.file.name

    @property
    def member_names(self) -> tuple[str, ...]:
        release = self.file.release
        variant = name_part(self.file.variant)
        size = "" if self.image_size == _USUAL_SIZE else f"_{self.image_size}"
        return (f"{release.architecture}_{variant}_{release.suffix}{size}",)

    @property
    def collection(self) -> str:
        return self.file.release.collection

    @property
    def dataset(self) -> Dataset:
        return self.file.release.dataset

    @property
    def notes(self) -> tuple[str, ...]:
        copies = ", ".join(f"hf://{copy}" for copy in self.file.incomplete_copies)
        lacking = f"not among the sources: {copies}, where a part of the arrays is missing or named otherwise"
        return (*([self.file.release.remark] if self.file.release.remark else []), *([lacking] if copies else []))

    def check_collection(self, path: Path) -> list[str]:
        collection = read_collection(path)
        got = {"dataset_tag": collection.dataset_tag, "activation": collection.activation}
        expected = {"dataset_tag": self.dataset.tag, "activation": self.file.release.activation}
        papers = {reference.url for reference in collection.references if "arxiv.org/abs/" in reference.url}
        differences = [f"{key} {got[key]}, not {value}" for key, value in expected.items() if got[key] != value]
        if papers != (cited := {paper.url for paper in _papers(self.file.release)}):
            differences.append(f"references to {_list(papers)}, not {_list(cited)}")
        if differences:
            raise Fault(
                f"{path}: {self.checkpoint} does not belong in this collection, which has {'; '.join(differences)};"
                f" leave out COLLECTION= to add it to {self.collection}, or name a new one"
            )
        return []

    def draft_collection(self, name: str) -> str:
        release = self.file.release
        numbers = {"architecture": 1, "dataset": 2, "method": 3 if release.methods else 1}
        numbers |= {"repository": 3 + len(release.methods), "jax2tf": 4 + len(release.methods)}
        return render(
            "add/upstream_collection.yaml.jinja", name=name, release=release, dataset=release.dataset,
            summary=release.training.format(dataset=release.dataset.name), numbers=numbers,
            training=release.training.format(dataset=f"{release.dataset.name} [2]"),
            plural=release.family.plural, architecture_paper=_entry(release.family.paper),
            methods=[_entry(paper) for paper in release.methods],
        )  # fmt: skip

    def draft_member(self, folder: Path, cards: Path) -> str:
        top1 = self.file.reported_top1
        return render(
            "add/upstream_member.yaml.jinja", file=self.file, image_size=self.image_size, dataset=self.dataset,
            labels=Path(os.path.relpath(cards / self.dataset.labels, folder)).as_posix(), title=self._title(),
            readme=README, minimum="0.0" if top1 is None else f"{max(0.0, top1 - MARGIN):.3f}",
            remark=wrap(self.file.release.remark),
        )  # fmt: skip

    def _title(self) -> str:
        """Returns a short name for lists, such as "ViT-B16, original, 384 pixels"."""
        variant = f"{self.file.release.family.short}-{title_part(self.file.variant)}"
        size = "" if self.image_size == _USUAL_SIZE else f", {self.image_size} pixels"
        return self.file.release.title.format(variant=variant) + size


def _papers(release: Release) -> tuple[Paper, ...]:
    return (release.family.paper, *release.methods)


def _entry(paper: Paper) -> dict[str, str | list[str]]:
    """Returns a paper for the template, its BibTeX as lines."""
    return {"text": paper.text, "url": paper.url, "bibtex": paper.bibtex.split("\n")}


def _list(urls: set[str]) -> str:
    return " and ".join(sorted(urls)) or "no paper"
