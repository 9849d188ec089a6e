"""The record of a module: everything that its pages for TensorFlow Hub, Hugging Face and Kaggle are rendered from."""

from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.json_files import load_json
from pipeline.base.plain_text import escape_clause
from pipeline.base.shard_names import shard_of, shard_path
from pipeline.base.templates import TEMPLATES, render
from pipeline.cards.formats import section_of
from pipeline.facts import status
from pipeline.facts.checks import ModuleReport
from pipeline.facts.collection import Collection, Module, handle
from pipeline.facts.formats import FormatReport, Formats
from pipeline.facts.report import Report
from pipeline.facts.status import Missing


def find_missing(report: Report) -> str | None:
    """Returns the name of a figure that cards show and a report lacks, as one of a failed validate does."""
    figures: dict[str, object] = {"features": report.features}
    for head, checks in report.modules.items():
        if not report.model.frozen:
            figures |= {
                f"modules.{head}.gradients.max_rel": checks.gradients and checks.gradients.max_rel,
                f"modules.{head}.fine_tuning": checks.fine_tuning,
            }
        figures |= {
            f"modules.{head}.batch_sizes.max_rel": checks.batch_sizes.max_rel or None,
            f"modules.{head}.c_api": checks.c_api or not checks.session or None,
        }
    classifier = report.modules[Head.CLASSIFICATION]
    if classifier.output_width > 1:
        figures["modules.classification.parity.argmax_agreement"] = classifier.parity.argmax_agreement
    return next((name for name, figure in figures.items() if figure is None), None)


@dataclass(frozen=True)
class CardFacts:
    """What the cards of a member say beside the figures of its report.

    Attributes:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        hub_url: the public address of the hub, without a final slash.
        checkpoint_name: the checkpoint's file name upstream, without `.npz`.
        recipe: how the checkpoint was trained, as its name says, a sentence; None where that says nothing.
    """

    member: str
    module: Module
    collection: Collection
    hub_url: str
    checkpoint_name: str
    recipe: str | None = None

    def handle(self, head: Head) -> str:
        """Returns the handle of one of the member's modules."""
        return handle(self.collection, self.member, head, self.module.version)


@dataclass(frozen=True)
class Compatibility:
    """The TensorFlow versions that other modules with the same needs were run in.

    Attributes:
        date: of the runs.
        variants: the architectures that were run.
        rows: a TensorFlow version, and for each variant the largest max_rel of its modules and ways to call them.
    """

    date: str
    variants: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Links:
    """The targets of a page's links: the companion module's page, a part of the hub's index, the version's folder."""

    companion: str
    index: str
    files: str

    @property
    def plots(self) -> str:
        """The folder of plots."""
        return f"{self.files}/plots"


@dataclass(frozen=True)
class Record:
    """What the pages of one module are rendered from.

    Attributes:
        facts: of its member.
        report: of its member.
        head: which of the member's two modules it is.
        compatibility: None where no module with the same needs was run in other versions.
        formats: the further ones of the module, published or left out.
    """

    facts: CardFacts
    report: Report
    head: Head
    compatibility: Compatibility | None
    formats: tuple[FormatReport, ...] = ()

    @property
    def checks(self) -> ModuleReport:
        """The module's part of the report."""
        return self.report.modules[self.head]

    @property
    def handle(self) -> str:
        """The module's handle, such as sayakpaul/vit_s16_fe/1."""
        return self.facts.handle(self.head)

    @property
    def other_handle(self) -> str:
        """The handle of the member's other module."""
        return self.facts.handle(self.head.other)

    @property
    def name(self) -> str:
        """The middle part of the handle."""
        return self.handle.split("/")[1]

    @property
    def address(self) -> str:
        """The tarball's public address."""
        return f"{self.facts.hub_url}/{self.handle}.tar.gz"

    @property
    def sample(self) -> str | None:
        """The public address of a picture for snippets, the first example prediction; None where none is published."""
        first = next(iter(self.report.examples(Head.CLASSIFICATION)), None)
        if first is None:
            return None
        return f"{self.facts.hub_url}/{self.facts.handle(Head.CLASSIFICATION)}/examples/{first.file}"

    @property
    def recipe(self) -> str | None:
        """How the checkpoint was trained, Markdown: what the publisher says, else what its name says."""
        return self.facts.module.recipe or self.facts.recipe

    @property
    def description(self) -> str:
        """What the module is, in one sentence of Markdown; of unverified weights, that comes first."""
        name = f"{self.report.model.title} {self.head.noun}"
        summary = escape_clause(self.facts.collection.summary)
        if self.report.is_verified:
            return f"{name}: {summary}."
        return f"{name} with unverified weights, which are not known to be those {summary}."

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What makes the version a draft; nothing for one that is released."""
        measured = self.report.accuracy.measured
        interval = measured.top1_interval if measured else None
        return status.find_missing(self.report.checkpoint.verification, interval, self.facts.module.accuracy_waived)

    @property
    def is_fine_tunable(self) -> bool:
        """Whether the module has variables, each with a gradient."""
        tuning = self.checks.fine_tuning
        return tuning is not None and tuning.variables > 0 and not tuning.without_gradient

    @property
    def notebook(self) -> str | None:
        """The address in Colab of the notebook for modules of this kind, if the collection has notebooks there."""
        name = "classification" if self.head is Head.CLASSIFICATION else "fine_tuning"
        return self.facts.collection.notebook(name)

    @property
    def _shard(self) -> str:
        """The path of the module's part of the index, which every hub has; only small ones have index.json."""
        return shard_path(shard_of(self.handle.rpartition("/")[0]))

    def links_in_hub(self) -> Links:
        """Returns the links of the page <publisher>/<module>/<version>.md."""
        other = self.other_handle.split("/", 1)[1]
        return Links(f"../{other}.md", f"../../{self._shard}", f"{self.facts.module.version}")

    def links_elsewhere(self) -> Links:
        """Returns the links of a page outside the hub."""
        hub = self.facts.hub_url
        return Links(f"{hub}/{self.other_handle}.md", f"{hub}/{self._shard}", f"{hub}/{self.handle}")

    def render(self, template: str, links: Links, **more: Any) -> str:
        """Renders a template of the folder templates/ with the record, its parts by their short names, and `more`."""
        return render(
            template,
            card=self,
            head=self.head,
            report=self.report,
            checks=self.checks,
            module=self.facts.module,
            collection=self.facts.collection,
            links=links,
            missing=self.missing,
            formats=section_of(self.formats, links.files),
            files=links.files,
            **more,
        )


@dataclass(frozen=True)
class _Runs:
    """The runs of one model's modules.

    Attributes:
        variant: its architecture.
        needs: the oldest TensorFlow, the calling convention and the sorted platforms of its modules.
        max_rel: by TensorFlow's minor version, the largest of both modules and every way to call them.
    """

    variant: str
    needs: tuple[str, int, list[str]]
    max_rel: dict[str, float]


def compatibility_of(checks: ModuleReport) -> Compatibility | None:
    """Returns in which TensorFlow versions modules with the same needs as this one were run.

    templates/compatibility.json holds what `make check-full` measured. None without it, or when it is of modules that
    need another TensorFlow, calling convention or platform: a card claims only what was measured on the like.
    """
    path = TEMPLATES / "compatibility.json"
    if not path.is_file():
        return None
    repair = "restore the committed file, or run make check-full"
    measured = load_json(path, repair)
    try:
        return _compare(measured, checks)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Fault(f"{path}: not what make check-full writes ({error!r}); {repair}") from None


def _compare(measured: Any, checks: ModuleReport) -> Compatibility | None:
    models = [_read_runs(model) for model in measured["models"].values()]
    needs = checks.needs
    expected = (needs.tensorflow, max(needs.calling_conventions), sorted(needs.platforms))
    if any(model.needs != expected for model in models):
        return None
    return Compatibility(
        measured["date"],
        tuple(model.variant for model in models),
        tuple(
            (version, tuple(model.max_rel[minor] for model in models))
            for minor, version in measured["tensorflow"].items()
        ),
    )


def _read_runs(model: dict[str, Any]) -> _Runs:
    """Reads a model's part of templates/compatibility.json."""
    needs = model["needs"]
    max_rel = {
        minor: max(float(difference) for replay in replays.values() for difference in replay["differences"].values())
        for minor, replays in model["results"].items()
    }
    return _Runs(model["variant"], (needs["tensorflow"], needs["calling_convention"], needs["platforms"]), max_rel)


def records(facts: CardFacts, report: Report, formats: Formats | None = None) -> dict[Head, Record]:
    """Returns the record of each module of a member; without its formats, pages do not speak of any."""
    further = formats.modules if formats else {}
    return {
        head: Record(facts, report, head, compatibility_of(report.modules[head]), further.get(head, ()))
        for head in Head
    }


def cards(facts: CardFacts, report: Report) -> dict[Head, str]:
    """Returns TensorFlow Hub's page of each module of a member."""
    return {head: render_tf_hub(record) for head, record in records(facts, report).items()}


def render_tf_hub(record: Record) -> str:
    """Returns the module's page in a hub."""
    return record.render("module.md.jinja", record.links_in_hub())
