"""card: the pages of a member's two modules, from its facts and its report and nothing else.

    python -m pipeline.card MEMBER.yaml REPORT OUT [--hub-url URL]

writes OUT/classification.md and OUT/fe.md for TensorFlow Hub, OUT/<head>.huggingface.md for Hugging Face and
OUT/kaggle/ for Kaggle, after checking each.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.files import write_text
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.cards import claims, hugging_face, kaggle, tf_hub_rules
from pipeline.cards.page import parse_page, refuse_problems
from pipeline.cards.record import CardFacts, Record, records, render_tf_hub
from pipeline.facts.collection import Module, collection_of
from pipeline.facts.report import load_report


def files_of(records: Mapping[Head, Record], out: Path) -> dict[Path, str]:
    """Returns the text of every file that the stage writes to the folder `out`, each checked.

    Raises:
        Fault: names file and line where a page breaks TF-Hub's rules or disagrees with the report, and the file that
            Hugging Face or Kaggle would refuse.
    """
    files = {path: text for record in records.values() for path, text in _module_files(record, out)}
    path = out / "kaggle" / "model-metadata.json"
    files[path] = kaggle.model_metadata(records[Head.CLASSIFICATION])
    kaggle.check_model(files[path], str(path))
    return files


def _module_files(record: Record, out: Path) -> Iterator[tuple[Path, str]]:
    head = record.head
    path, page = out / f"{head}.md", parse_page(render_tf_hub(record))
    refuse_problems(str(path), [*tf_hub_rules.problems(page), *claims.card_problems(page, record.report, head)])
    yield path, page.text
    path, text = out / f"{head}.huggingface.md", hugging_face.readme(record)
    hugging_face.check_readme(text, record.report, str(path))
    yield path, text
    path, text = out / "kaggle" / head / "model-instance-metadata.json", kaggle.instance_metadata(record)
    kaggle.check_instance(text, str(path))
    yield path, text


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.card", description="Writes a member's model cards.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the folder for classification.md, fe.md and the pages for other hosts")
    parser.add_argument("--hub-url", help="the public address of the hub (default: the collection's)")
    args = parser.parse_args(arguments)
    member = Member(args.member)
    module, checkpoint = member.section("module", Module), member.checkpoint_name()
    collection, hub_url = collection_of(args.member, args.hub_url)
    facts = CardFacts(member.name, module, collection, hub_url, checkpoint)
    for path, text in files_of(records(facts, load_report(args.report)), args.out).items():
        write_text(path, text)
    return member.name


if __name__ == "__main__":
    raise SystemExit(command("card", main))
