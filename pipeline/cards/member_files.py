"""The files that the stage card writes for a member, each with the rules of its host."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from pipeline.base.heads import Head
from pipeline.cards import agreement, claims, drafts, figures, formats, hugging_face, kaggle, tf_hub_rules
from pipeline.cards.other_hosts import HUGGING_FACE, KAGGLE_MODEL, KAGGLE_VARIATION, written_by_card
from pipeline.cards.page import parse_page, refuse_problems, size_problems
from pipeline.cards.record import Record, render_tf_hub


@dataclass(frozen=True)
class CardFile:
    """A file, rendered when its text is first needed.

    Attributes:
        path: of the file.
        render: returns its text.
        rules: raises a Fault that names file and line where a text breaks a rule.
    """

    path: Path
    render: Callable[[], str]
    rules: Callable[[str], None]

    @cached_property
    def text(self) -> str:
        return self.render()

    def check(self) -> None:
        """Raises a Fault where the text breaks a rule."""
        self.rules(self.text)


def member_files(records: Mapping[Head, Record], out: Path, has_figures: bool = True) -> Iterator[CardFile]:
    """Yields every file.

    Args:
        records: of the member's modules.
        out: the folder of the files.
        has_figures: whether the report's digests and counts are those of files; false for a stand-in's.
    """
    for record in records.values():
        path = out / f"{record.head}.md"
        yield CardFile(path, partial(render_tf_hub, record), partial(_check_tf_hub, record, str(path), has_figures))
        places = written_by_card(record.head)
        path = out / places[HUGGING_FACE]
        check = partial(hugging_face.check_readme, report=record.report, where=str(path))
        yield CardFile(path, partial(hugging_face.readme, record), check)
        path = out / places[KAGGLE_VARIATION]
        check = partial(kaggle.check_instance, where=str(path))
        yield CardFile(path, partial(kaggle.instance_metadata, record), check)
    path = out / written_by_card(Head.CLASSIFICATION)[KAGGLE_MODEL]
    render = partial(kaggle.model_metadata, records[Head.CLASSIFICATION])
    yield CardFile(path, render, partial(kaggle.check_model, where=str(path)))


def _check_tf_hub(record: Record, where: str, has_figures: bool, text: str) -> None:
    page, collection = parse_page(text), record.facts.collection
    models = agreement.models_of([record.report], collection.dataset_name, collection.license, has_figures)
    problems = [
        *size_problems(page),
        *tf_hub_rules.problems(page),
        *claims.card_problems(page, record.report, record.head),
    ]
    problems += agreement.page_problems(page, models)
    problems += drafts.draft_problems(page, record.missing)
    problems += formats.formats_problems(page, record.report, record.head, record.formats)
    if has_figures:
        problems += figures.digest_problems(page, record.report)
        problems += claims.quote_problems(page, record.report.checkpoint.verification)
        problems += claims.prose_quote_problems(page, record.report)
    refuse_problems(where, problems)
