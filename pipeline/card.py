"""card: the pages of a member's two modules, from its facts and its report and nothing else.

    python -m pipeline.card MEMBER.yaml REPORT OUT [--hub-url URL] [--lock FILE]

writes OUT/classification.md and OUT/fe.md in TensorFlow Hub's dialect, <head>.huggingface.md in that of Hugging Face
and kaggle/ in Kaggle's, after each was checked. What they say of pinned digests is what the YAML file and the lock file
have by now.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import claims, dialect_rules, dialects, hub_page, hub_rules
from pipeline.base import yaml_sections
from pipeline.base.command import command
from pipeline.base.files import write_text
from pipeline.base.heads import HEADS
from pipeline.base.templates import TEMPLATES
from pipeline.checkpoints import lock_file
from pipeline.dialects import Record
from pipeline.facts.collection import Collection, Module, collection_of, handle
from pipeline.facts.report import read_report


def compatibility_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """Returns what a card says of TensorFlow versions: a record of other modules that need the same as this one.

    templates/compatibility.json holds what `make check-full` measured. None without it, or when it is of modules that
    need another TensorFlow, calling convention or platform: nothing is claimed which was not measured on the like.

    Args:
        found: the module's part of the report.

    Returns:
        The date, the variants that were run, and the rows of a table: a TensorFlow version, and for each variant the
        largest difference of all its heads and ways to call it, divided by the largest output.
    """
    path = TEMPLATES / "compatibility.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    models = list(record["models"].values())
    needs = found["needs"]
    like = (needs["tensorflow"], max(needs["calling_conventions"]), sorted(needs["platforms"]))
    keys = ("tensorflow", "calling_convention", "platforms")
    if any(tuple(model["needs"][key] for key in keys) != like for model in models):
        return None

    def largest(model: dict[str, Any], minor: str) -> float:
        replays = model["results"][minor].values()
        return max(float(difference) for replay in replays for difference in replay["differences"].values())

    return {
        "date": record["date"],
        "variants": [model["variant"] for model in models],
        "rows": [
            (version, [largest(model, minor) for model in models]) for minor, version in record["tensorflow"].items()
        ],
    }


def records(
    member: str,
    module: Module,
    collection: Collection,
    hub_url: str,
    report: dict[str, Any],
    origin: dict[str, Any],
    pin: lock_file.Pin = lock_file.NOTHING,
) -> dict[str, Record]:
    """Returns what is known of each head's module: the one record that every dialect is rendered from.

    Args:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        hub_url: the public address of the hub.
        report: what validate wrote; `plots`, if there, lists plots with `file`, a name, and `title`.
        origin: its section `checkpoint`, as plain values: the name, and the digest when it is pinned.
        pin: what the lock file has of the checkpoint.
    """
    weights = report["checkpoint"]
    handles = {head: handle(collection, member, head, module.version) for head in HEADS}
    noun = {"classification": "image classifier", "fe": "feature extractor"}
    return {
        head: {
            "member": member,
            "head": head,
            "task": task,
            "name": handles[head].split("/")[1],
            "description": f"Vision Transformer {report['model']['variant']} {noun[head]}: {collection.summary}.",
            "handle": handles[head],
            "other_handle": handles["fe" if head == "classification" else "classification"],
            "address": f"{hub_url}/{handles[head]}.tar.gz",
            "hub_url": hub_url,
            "module": module,
            "collection": collection,
            "report": report,
            "origin": origin,
            "verified": lock_file.statement(
                pin, origin.get("sha256"), weights.get("sha256"), weights.get("arrays_sha256")
            ),
            "found": report["modules"][head],
            "compatibility": compatibility_of(report["modules"][head]),
        }
        for head, task in HEADS.items()
    }


def cards(
    member: str,
    module: Module,
    collection: Collection,
    hub_url: str,
    report: dict[str, Any],
    origin: dict[str, Any],
    pin: lock_file.Pin = lock_file.NOTHING,
) -> dict[str, str]:
    """Returns TensorFlow Hub's page of each head, from what records() takes."""
    found = records(member, module, collection, hub_url, report, origin, pin)
    return {head: dialects.tf_hub(record) for head, record in found.items()}


def files_of(found: dict[str, Record], out: Path) -> dict[Path, str]:
    """Returns every file that the stage writes to the folder `out`, each checked.

    Raises:
        Fault: names file and line where a page breaks TF-Hub's rules or disagrees with the report, and the file where
            another dialect breaks its host's.
    """
    files = {}
    for head, record in found.items():
        path = out / f"{head}.md"
        page = hub_page.parse(dialects.tf_hub(record))
        hub_page.refuse(str(path), [*hub_rules.problems(page), *claims.card_problems(page, record["report"], head)])
        files[path] = page.text
        path = out / f"{head}.huggingface.md"
        files[path] = dialects.hugging_face(record)
        dialect_rules.check_hugging_face(files[path], record["report"], str(path))
        path = out / "kaggle" / head / "model-instance-metadata.json"
        files[path] = dialects.kaggle_instance(record)
        dialect_rules.check_kaggle_instance(files[path], str(path))
    path = out / "kaggle" / "model-metadata.json"
    files[path] = dialects.kaggle_model(found)
    dialect_rules.check_kaggle_model(files[path], str(path))
    return files


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.card", description="Writes a member's model cards.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the folder for classification.md, fe.md and the other dialects")
    parser.add_argument("--hub-url", help="the public address of the hub (default: the collection's)")
    parser.add_argument(
        "--lock", type=Path, help=f"the lock file (default: {lock_file.NAME} beside the member's YAML file)"
    )
    args = parser.parse_args(arguments)
    module = yaml_sections.load(args.member, "module", Module)
    collection, hub_url = collection_of(args.member, args.hub_url)
    origin = yaml_sections.sections(args.member)["checkpoint"]
    pin = lock_file.read(args.lock or args.member.parent / lock_file.NAME).get(
        str(origin.get("name")), lock_file.NOTHING
    )
    found = records(args.member.stem, module, collection, hub_url, read_report(args.report), origin, pin)
    for path, text in files_of(found, args.out).items():
        write_text(path, text)
    return args.member.stem


if __name__ == "__main__":
    raise SystemExit(command("card", main))
