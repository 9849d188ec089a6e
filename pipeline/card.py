"""card: the pages of a member's two modules, from its facts and its report and nothing else.

    python -m pipeline.card MEMBER.yaml REPORT OUT [--formats FILE] [--hub-url URL] [--lock FILE]

writes OUT/classification.md and OUT/fe.md for TensorFlow Hub, OUT/<head>.huggingface.md for Hugging Face and
OUT/kaggle/ for Kaggle, after checking each.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.yaml_sections import Member
from pipeline.cards.formats import read_formats
from pipeline.cards.member_files import member_files
from pipeline.cards.record import CardFacts, find_missing, records
from pipeline.checkpoints import lock_file
from pipeline.checkpoints.lock_file import LockFile
from pipeline.facts.collection import Module, collection_of
from pipeline.facts.report import load_report, with_recorded_arrays
from pipeline.hub.folder import hub_folder
from pipeline.hub.settings import add_address, public_url
from pipeline.pool.recipe_text import describe_recipe
from pipeline.prose.read import refuse_text_faults


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.card", description="Writes a member's model cards.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the folder for classification.md, fe.md and the pages for other hosts")
    parser.add_argument("--formats", type=Path, help="its formats.json, if it is published in further formats")
    parser.add_argument("--hub", help="the hub: a folder, whose address counts")
    add_address(parser)
    lock_file.add_option(parser)
    args = parser.parse_args(arguments)
    member = Member(args.member)
    module, checkpoint = member.section("module", Module), member.checkpoint_name()
    url = public_url(hub_folder(args.hub), args.hub_url, args.move) if args.hub else args.hub_url
    collection, hub_url = collection_of(args.member, url)
    facts = CardFacts(member.name, module, collection, hub_url, checkpoint, describe_recipe(checkpoint))
    refuse_text_faults(args.member, url)
    pin = LockFile(lock_file.locate(member.folder, args.lock)).pin_of(checkpoint)
    report = with_recorded_arrays(load_report(args.report), pin.arrays)
    if missing := find_missing(report):
        raise Fault(f"{args.report}: it lacks {missing}, which the cards show; run make validate until all checks pass")
    formats = read_formats(args.formats, member.name, report) if args.formats else None
    files = list(member_files(records(facts, report, formats), args.out))
    for file in files:
        file.check()
    for file in files:
        write_text(file.path, file.text)
    return member.name


if __name__ == "__main__":
    raise SystemExit(command("card", main))
