"""card: the Markdown pages of a member's two modules, from its facts and its report and nothing else.

    python -m pipeline.card MEMBER.yaml REPORT OUT [--hub-url URL]

writes OUT/classification.md and OUT/fe.md in TensorFlow Hub's dialect.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import spec
from pipeline.fault import command
from pipeline.files import write_text
from pipeline.pages import HEADS, Collection, Module, collection_of, handle, read_report, render


def _difference(found: dict[str, Any]) -> float:
    return float(found["max_rel"])


def cards(
    member: str, module: Module, collection: Collection, hub_url: str, report: dict[str, Any], origin: dict[str, Any]
) -> dict[str, str]:
    """Returns the page of each head.

    Args:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        hub_url: the public address of the hub.
        report: what validate wrote.
        origin: its section `checkpoint`, as plain values: the name, and the digest when it is pinned.
    """
    handles = {head: handle(collection, member, head, module.version) for head in HEADS}
    return {
        head: render(
            "module.md.jinja",
            head=head,
            task=task,
            handle=handles[head],
            other_handle=handles["fe" if head == "classification" else "classification"],
            address=f"{hub_url}/{handles[head]}.tar.gz",
            module=module,
            collection=collection,
            report=report,
            origin=origin,
            found=report["modules"][head],
            largest=max((report["modules"][head][check] for check in ("parity", "single_image")), key=_difference),
        )
        for head, task in HEADS.items()
    }


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.card", description="Writes a member's model cards.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the folder for classification.md and fe.md")
    parser.add_argument("--hub-url", help="the public address of the hub (default: the collection's)")
    args = parser.parse_args(arguments)
    module = spec.load(args.member, "module", Module)
    collection, hub_url = collection_of(args.member, args.hub_url)
    origin = spec.sections(args.member)["checkpoint"]
    pages = cards(args.member.stem, module, collection, hub_url, read_report(args.report), origin)
    for head, text in pages.items():
        write_text(args.out / f"{head}.md", text)
    return args.member.stem


if __name__ == "__main__":
    raise SystemExit(command("card", main))
