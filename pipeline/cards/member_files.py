"""The files that the stage card writes for a member, each with the rules of its host."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.base.heads import Head
from pipeline.cards import agreement, claims, figures, hugging_face, kaggle, tf_hub_rules
from pipeline.cards.page import parse_page, refuse_problems
from pipeline.cards.record import Record, render_tf_hub


@dataclass(frozen=True)
class CardFile:
    """A file: its path, its text, and `check`, which raises a Fault that names file and line where it breaks a rule."""

    path: Path
    text: str
    check: Callable[[], None]


def member_files(records: Mapping[Head, Record], out: Path, has_figures: bool = True) -> Iterator[CardFile]:
    """Yields every file.

    Args:
        records: of the member's modules.
        out: the folder of the files.
        has_figures: whether the report's digests and counts are those of files; false for a stand-in's.
    """
    for record in records.values():
        yield _tf_hub(record, out, has_figures)
        path, text = out / f"{record.head}.huggingface.md", hugging_face.readme(record)
        yield CardFile(path, text, partial(hugging_face.check_readme, text, record.report, str(path)))
        path, text = out / "kaggle" / record.head / "model-instance-metadata.json", kaggle.instance_metadata(record)
        yield CardFile(path, text, partial(kaggle.check_instance, text, str(path)))
    path, text = out / "kaggle" / "model-metadata.json", kaggle.model_metadata(records[Head.CLASSIFICATION])
    yield CardFile(path, text, partial(kaggle.check_model, text, str(path)))


def _tf_hub(record: Record, out: Path, has_figures: bool) -> CardFile:
    path, page = out / f"{record.head}.md", parse_page(render_tf_hub(record))
    collection = record.facts.collection
    models = agreement.models_of([record.report], collection.dataset_name, collection.license, has_figures)

    def check() -> None:
        problems = [*tf_hub_rules.problems(page), *claims.card_problems(page, record.report, record.head)]
        problems += agreement.page_problems(page, models)
        if has_figures:
            problems += figures.digest_problems(page, record.report)
            problems += claims.quote_problems(page, record.report.checkpoint.verification)
            problems += claims.prose_quote_problems(page, record.report)
        refuse_problems(str(path), problems)

    return CardFile(path, page.text, check)
