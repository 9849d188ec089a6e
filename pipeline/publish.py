"""publish: cards and tarballs into a hub folder, laid out as TensorFlow Hub addresses it.

    python -m pipeline.publish member MEMBER.yaml FOLDER HUB RECEIPT [--require-accuracy]
    python -m pipeline.publish collection COLLECTION.yaml PAGE HUB RECEIPT

The hub holds <publisher>/<module>/<version>.tar.gz and .md, the plots in <publisher>/<module>/<version>/plots/,
<publisher>/collections/<name>/1.md, <publisher>/<publisher>.md and index.json, and the website that pipeline.site makes
of them. A published tarball never changes: the same bytes again are left alone, other bytes are refused. Pages may be
corrected in place, as TensorFlow Hub's could.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import replacing, sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.base.yaml_sections import Member
from pipeline.cards import tf_hub_rules
from pipeline.download.checksums import copy
from pipeline.facts.collection import Collection, Module, Publisher, collection_of
from pipeline.facts.report import read_report
from pipeline.hub import website
from pipeline.hub.folder import Index, hub_folder, locked, read_index
from pipeline.hub.index import contents, entry_of, handles_of
from pipeline.saved_model.files import tarball_digest


def _file(hub: Path, name: str, sha256: str | None = None) -> dict[str, Any]:
    """Returns what index and receipt say of a published file; the digest is computed unless it is known."""
    path = hub / name
    return {"path": name, "size": path.stat().st_size, "sha256": sha256 or sha256_of(path)}


@dataclass(frozen=True)
class Tarball:
    """A packed module that holds what was validated, ready to be published.

    Attributes:
        path: the file.
        sha256: its digest in hexadecimal.
        page: the text of the module's card.
    """

    path: Path
    sha256: str
    page: str


def read_tarball(folder: Path, head: Head, content: str) -> Tarball:
    """Reads one head's tarball and card from a member's folder.

    Args:
        folder: the member's outputs.
        head: "classification" or "fe".
        content: the content digest of the model that was validated.

    Raises:
        Fault: when either is missing, or the tarball holds something else.
    """
    tarball, card = folder / f"{head}.tar.gz", folder / f"{head}.md"
    for path, stage in ((tarball, "package"), (card, "card")):
        if not path.is_file():
            raise Fault(f"{path}: no such file; run make {stage} first")
    if (packed := tarball_digest(tarball)) != content:
        raise Fault(
            f"{tarball}: not the model that report.json speaks of: expected content {content}, got {packed};"
            " run make validate and make package again"
        )
    return Tarball(tarball, sha256_of(tarball), card.read_text(encoding="utf-8"))


def is_missing(tarball: Tarball, target: Path, recorded: str | None) -> bool:
    """Returns whether the tarball has yet to be copied to its place in the hub.

    Args:
        tarball: what is to be published.
        target: its place in the hub.
        recorded: the digest that the index has of it, if it has one.

    Raises:
        Fault: when other bytes are published there, or the published file is damaged.
    """
    if not target.exists():
        return True
    published = sha256_of(target)
    if published != tarball.sha256 and recorded == tarball.sha256:
        raise Fault(
            f"{target}: damaged in the hub: index.json has sha256 {recorded}, the file {published}; what you publish is"
            " whole and the same as what was published, so delete the file there and run the same command again"
        )
    if published != tarball.sha256:
        raise Fault(
            f"{target}: this version is already published with other bytes: sha256 {published} there,"
            f" {tarball.sha256} here; published versions never change, so raise module.version to publish this one"
        )
    return False


def check_unique(tarball: Tarball, name: str, index: Index) -> None:
    """Refuses bytes that the same publisher has in the hub under another module's name.

    Most likely two members share a checkpoint: the reference collection published one feature extractor under two
    handles that way.

    Raises:
        Fault: names the other handle.
    """
    publisher, module, _ = name.split("/")
    for other, entry in index["modules"].items():
        theirs, other_module, _ = other.split("/")
        if theirs == publisher and other_module != module and entry["files"][0]["sha256"] == tarball.sha256:
            raise Fault(
                f"{tarball.path}: the same bytes are already published as {other}, and would be again as {name};"
                " check that each member names its own checkpoint (after a renaming, publish to a new hub)"
            )


def _write_index(hub: Path, index: Index, publisher: Publisher) -> None:
    """Writes index.json and the publisher's page, which lists what the index holds of it."""
    prefix = publisher.id + "/"
    mine = {
        kind: {name: entry for name, entry in sorted(index[kind].items()) if name.startswith(prefix)} for kind in index
    }
    page = render("publisher.md.jinja", publisher=publisher, **mine)
    tf_hub_rules.check(page, f"{publisher.id}.md")
    write_text(hub / prefix / f"{publisher.id}.md", page)
    write_text(hub / "index.json", json.dumps(index, indent=2, sort_keys=True) + "\n")


def read_plots(folder: Path, report: dict[str, Any]) -> dict[str, str]:
    """Returns the text of each plot that the report names; raises Fault for one that is missing."""
    paths = [folder / "plots" / plot["file"] for plot in report["plots"]]
    for path in paths:
        if not path.is_file():
            raise Fault(f"{path}: no such file, but report.json names it; delete report.json and run make validate")
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def _replace_plots(folder: Path, plots: dict[str, str]) -> None:
    """Writes the plots beside a card, and removes those that are no longer made."""
    for path in folder.glob("*.svg"):
        if path.name not in plots:
            path.unlink()
    for name, text in plots.items():
        write_text(folder / name, text)


def _write_receipt(receipt: Path, hub: Path, published: dict[str, Any]) -> None:
    """Writes what was published where; make takes it as the sign that the member is published."""
    write_text(
        receipt, json.dumps({"hub": str(hub.resolve()), "published": published}, indent=2, sort_keys=True) + "\n"
    )


def check_measured(member: str, report: dict[str, Any]) -> None:
    """Refuses a member whose accuracy was not measured, as REQUIRE_ACCURACY=1 asks for.

    Raises:
        Fault: says why it was not measured.
    """
    found = report["accuracy"]
    if found["verdict"] == "not measured":
        raise Fault(
            f"{member}: its accuracy was not measured, since {found['reason']}; REQUIRE_ACCURACY=1 forbids to publish"
            " it: say IMAGENET=, or leave REQUIRE_ACCURACY out to publish a card that says so"
        )


def publish_member(member: str, module: Module, collection: Collection, folder: Path, hub: Path, receipt: Path) -> None:
    """Publishes both modules of a member: all is checked before the first byte is written.

    Args:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        folder: holds report.json, the plots it names and, per head, the card and the tarball.
        hub: the hub's folder, made when missing.
        receipt: the file to write last.

    Raises:
        Fault: for a name that no handle can have or a malformed index (pipeline.hub.index), and see read_tarball(),
            read_plots(), is_missing() and check_unique(); the hub is as it was.
    """
    report = read_report(folder / "report.json")
    handles = handles_of(collection, member, module.version)
    tarballs = {head: read_tarball(folder, head, report["modules"][head]["content_sha256"]) for head in Head}
    plots = read_plots(folder, report)
    published = {}
    with locked(hub):
        index = read_index(hub)
        contents(hub / "index.json", index)
        missing = {}
        for head, name in handles.items():
            recorded = index["modules"].get(name)
            sha256 = recorded["files"][0]["sha256"] if recorded else None
            missing[head] = is_missing(tarballs[head], hub / f"{name}.tar.gz", sha256)
            check_unique(tarballs[head], name, index)
        for head, name in handles.items():
            if missing[head]:
                with replacing(hub / f"{name}.tar.gz") as out:
                    copy(tarballs[head].path, out, f"publish {member}")
            write_text(hub / f"{name}.md", tarballs[head].page)
            _replace_plots(hub / name / "plots", plots)
            files = [_file(hub, f"{name}.tar.gz", tarballs[head].sha256), _file(hub, f"{name}.md")]
            for plot in report["plots"]:
                files.append(_file(hub, f"{name}/plots/{plot['file']}") | {"title": plot["title"]})
            published[name] = entry_of(head, module, collection, report, files)
        index["modules"] |= published
        _write_index(hub, index, collection.publisher)
        website.build(hub, index)
    _write_receipt(receipt, hub, published)
    for name in published:
        print(f"published {name}: {hub / name}.tar.gz")


def publish_collection(collection: Collection, page: Path, hub: Path, receipt: Path) -> None:
    """Publishes a collection's page; its links lead to modules published before."""
    name = f"{collection.publisher.id}/collections/{collection.name}/1"
    with locked(hub):
        index = read_index(hub)
        contents(hub / "index.json", index)
        write_text(hub / f"{name}.md", page.read_text(encoding="utf-8"))
        published = {name: {"files": [_file(hub, f"{name}.md")]}}
        index["collections"] |= published
        _write_index(hub, index, collection.publisher)
        website.build(hub, index)
    _write_receipt(receipt, hub, published)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.publish", description="Publishes into a hub folder.")
    parser.add_argument("what", choices=("member", "collection"))
    parser.add_argument("facts", type=Path, help="the member's YAML file, or collection.yaml")
    parser.add_argument("source", type=Path, help="the member's folder, or the collection's page")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("receipt", type=Path, help="the receipt to write, JSON")
    parser.add_argument("--require-accuracy", action="store_true", help="refuse a member whose accuracy is unknown")
    args = parser.parse_args(arguments)
    hub = hub_folder(args.hub)
    collection, _ = collection_of(args.facts, None)
    if args.what == "collection":
        publish_collection(collection, args.source, hub, args.receipt)
        return f"collection {collection.name} in {hub}"
    if args.require_accuracy:
        check_measured(args.facts.stem, read_report(args.source / "report.json"))
    module = Member(args.facts).section("module", Module)
    publish_member(args.facts.stem, module, collection, args.source, hub, args.receipt)
    return f"{args.facts.stem} in {hub}"


if __name__ == "__main__":
    raise SystemExit(command("publish", main))
