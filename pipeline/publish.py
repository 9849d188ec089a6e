"""publish: cards and tarballs into a hub folder, laid out as TensorFlow Hub addresses it.

    python -m pipeline.publish member MEMBER.yaml FOLDER HUB RECEIPT [--require-accuracy] [--lock FILE] [--sign KEY]
    python -m pipeline.publish collection COLLECTION.yaml PAGE HUB RECEIPT

The hub holds <publisher>/<module>/<version>.tar.gz and .md, the plots in <publisher>/<module>/<version>/plots/, the
files of the further formats (formats.json) in <publisher>/<module>/<version>/, <publisher>/collections/<name>/1.md,
<publisher>/<publisher>.md, the index, and the website that pipeline.site makes of them. A published tarball or file of
a format never changes: the same bytes again are left alone, other bytes are refused. Pages may be corrected, as
TensorFlow Hub's could: the index lists the new page under a name with its digest, and the plain name is a copy of it.
Every file is written after those that it names, so that whoever stops publish leaves a hub that is whole.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.accuracy.section import require_images_license
from pipeline.base.command import command
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import Unreadable, has_text, read_bounded, sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.text import read_generated
from pipeline.base.yaml_sections import Member
from pipeline.cards import other_hosts, tf_hub_rules
from pipeline.checkpoints import lock_file
from pipeline.checkpoints.lock_file import LockFile
from pipeline.facts.accuracy import ExamplePrediction
from pipeline.facts.collection import FILE as COLLECTION_FILE
from pipeline.facts.collection import Collection, Module, Publisher, collection_of
from pipeline.facts.formats import REPORT, Formats, load_formats
from pipeline.facts.report import Plot, Report, load_report, report_text, with_recorded_arrays
from pipeline.hub import svg, website
from pipeline.hub.entries import CollectionEntry, ModuleEntry, PublishedFile, read_module
from pipeline.hub.folder import hub_folder, locked
from pipeline.hub.format_files import ModuleFormats, read_module_formats
from pipeline.hub.index import Index, handles_of
from pipeline.hub.new_entries import carry_over, module_entry
from pipeline.hub.notices import add_notices
from pipeline.hub.overview import Overview
from pipeline.hub.parts import Parts, read_parts, write_parts
from pipeline.hub.publisher_page import render_publisher
from pipeline.hub.settings import FILE, HubSettings, add_address, public_url, settle, write_settings
from pipeline.hub.site_memory import SiteMemory
from pipeline.hub.stored import new_page, remove_replaced, store_page, store_pages, write_copies
from pipeline.hub.tarballs import Hashed, hash_file, is_missing, known_file, placing
from pipeline.prose.read import refuse_text_faults
from pipeline.saved_model.packing_record import content_of, read_record
from pipeline.trust import keys
from pipeline.trust.builder import Build, read_build
from pipeline.trust.chain import TIMESTAMP_PATH
from pipeline.trust.provenance import make_statement, refuse_other_lock, write_statement
from pipeline.trust.statement import Statement

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_LARGEST_PICTURE = 4 << 20  # bytes
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Outputs:
    """What the earlier stages made of a member.

    Attributes:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        folder: holds, per head, the card and the tarball, and the plots that the report names.
        report: of the member.
        build: what converted its modules, for their statements; None publishes none.
        signers: who signs the statements.
        formats: the further ones that it is published in; None where none were made.
    """

    member: str
    module: Module
    collection: Collection
    folder: Path
    report: Report
    build: Build | None = None
    signers: "Sequence[Signer]" = ()
    formats: Formats | None = None

    @cached_property
    def report_file(self) -> bytes:
        """The content of report.json as it is published: it says of the weights what the cards do."""
        return report_text(self.report).encode()


@dataclass(frozen=True)
class Packed:
    """A module that is ready to be published.

    Attributes:
        head: which of the member's modules it is.
        handle: <publisher>/<name>/<version>.
        tarball: the file, which holds the model that was validated.
        card: the text of its card.
        plots: the SVG of each plot of the card.
        examples: the PNG of each example prediction; none of a feature extractor.
        report: the bytes of report.json.
        pages: its pages for other hosts, by name.
        formats: the further ones.
    """

    head: Head
    handle: str
    tarball: Hashed
    card: str
    plots: Mapping[Plot, str]
    examples: Mapping[ExamplePrediction, bytes]
    report: bytes
    pages: Mapping[str, str]
    formats: ModuleFormats = field(default_factory=ModuleFormats)

    @property
    def sha256(self) -> str:
        return self.tarball.sha256

    @property
    def format_files(self) -> dict[str, Hashed]:
        """The files of the further formats, by their paths in the hub."""
        return {f"{self.handle}/{path}": file for path, file in self.formats.files.items()}

    @property
    def lasting_files(self) -> dict[str, Hashed]:
        """The files that never change, by their paths in the hub: the tarball first, then those of formats."""
        return {f"{self.handle}.tar.gz": self.tarball} | self.format_files


def read_plots(folder: Path, report: Report) -> dict[Plot, str]:
    """Returns the SVG of each plot that the report names.

    Raises:
        Fault: for one that is missing, or has what no plot has (pipeline.hub.svg).
    """
    plots = {}
    for plot in report.plots:
        path = folder / "plots" / plot.file
        if not path.is_file():
            raise Fault(f"{path}: no such file, but report.json names it; delete report.json and run make validate")
        plots[plot] = read_generated(path, "delete report.json and run make validate")
        if problem := svg.find_problem(plots[plot]):
            raise Fault(f"{path}: {show_name(problem)}; a browser may run it: delete report.json and run make validate")
    return plots


def read_examples(folder: Path, report: Report, head: Head) -> dict[ExamplePrediction, bytes]:
    """Returns the PNG of each example prediction of a module.

    Raises:
        Fault: for one that is missing, or is no PNG.
    """
    pictures, repair = {}, "delete report.json and run make validate"
    for example in report.examples(head):
        path = folder / "examples" / example.file
        try:
            pictures[example] = read_bounded(path, _LARGEST_PICTURE)
        except FileNotFoundError:
            raise Fault(f"{path}: no such file, but report.json names it; {repair}") from None
        except Unreadable as reason:
            raise Fault(f"{path}: {reason}; {repair}") from None
        if not pictures[example].startswith(_PNG):
            raise Fault(f"{path}: it is no PNG file; {repair}")
    return pictures


def read_packed(outputs: Outputs, head: Head, handle: str, plots: Mapping[Plot, str]) -> Packed:
    """Reads the tarball, the card, the pictures and the further formats of one of a member's modules.

    Raises:
        Fault: when one is missing, or the tarball or the formats are those of another model than was validated.
    """
    tarball, card = outputs.folder / f"{head}.tar.gz", outputs.folder / f"{head}.md"
    for path, stage in ((tarball, "package"), (card, "card")):
        if not path.is_file():
            raise Fault(f"{path}: no such file; run make {stage} first")
    record, label = read_record(tarball), f"publish {outputs.member}"
    untouched = record is not None and record.describes(tarball)
    source = known_file(tarball, record.sha256) if record and untouched else hash_file(tarball, label)
    validated, packed = outputs.report.modules[head].content_sha256, content_of(tarball, source.sha256, record)
    if packed != validated:
        raise Fault(
            f"{tarball}: not the model that was validated: report.json has content {validated}, got {packed};"
            " run make validate and make package again"
        )
    text, pages = read_generated(card, "delete it and run make card"), other_hosts.read_pages(outputs.folder, head)
    formats = read_module_formats(outputs.folder, head, outputs.formats, validated)
    examples = read_examples(outputs.folder, outputs.report, head)
    where = Path(outputs.collection.name, COLLECTION_FILE)
    require_images_license(len(examples), outputs.collection.images_license, where)
    return Packed(head, handle, source, text, plots, examples, outputs.report_file, pages, formats)


def make_statements(outputs: Outputs, modules: Sequence[Packed], hub: Path) -> dict[str, Statement]:
    """Returns the statement of each module by handle, if what converted them is known.

    Raises:
        Fault: when that converted other models than were validated, or requirements.lock has changed since.
    """
    if outputs.build is None:
        return {}
    refuse_other_lock(outputs.build, hub)
    report, digest = outputs.report, hashlib.sha256(outputs.report_file).hexdigest()
    return {
        module.handle: make_statement(module.handle, module.head, module.sha256, outputs.build, report, digest)
        for module in modules
    }


def check_unique(module: Packed, overview: Overview) -> None:
    """Refuses a tarball that the same publisher has in the hub under another module's name.

    Most likely two members share a checkpoint: the reference collection published one feature extractor under two
    handles that way.

    Raises:
        Fault: names the other handle.
    """
    publisher, name, _ = module.handle.split("/")
    for other in overview.modules.values():
        if other.sha256 == module.sha256 and other.publisher == publisher and other.name != name:
            raise Fault(
                f"{module.tarball.path}: the same bytes are already published as {other.handle}, and would be again as"
                f" {module.handle}; check that each member names its own checkpoint (after a renaming, publish to a"
                " new hub)"
            )


def refuse_yanked(modules: Sequence[Packed], index: Index) -> None:
    """Refuses a new version whose modules have all the bytes of yanked ones: they were to be corrected.

    Raises:
        Fault: names a yanked version, and why it is.
    """
    if any(module.handle in index.modules for module in modules):
        return
    yanked = [(module, _find_yanked(module, index)) for module in modules]
    module, other = yanked[0]
    if other is None or other.yanked is None or not all(entry for _, entry in yanked):
        return
    raise Fault(
        f"{module.tarball.path}: the same bytes are already published as {other.handle}, which is yanked"
        f" ({show_name(other.yanked.reason)}), and would be again as {module.handle}; correct the model first, or, if"
        f" nothing is wrong with it, take the yank back: make unyank MODULE={other.handle}"
    )


def _find_yanked(module: Packed, index: Index) -> ModuleEntry | None:
    """Returns a yanked version of a module with the same bytes."""
    name = module.handle.rpartition("/")[0]
    versions = index.versions.get(name, ())
    return next((entry for entry in versions if entry.yanked and entry.tarball.sha256 == module.sha256), None)


def check_measured(member: str, report: Report, why: str = "REQUIRE_ACCURACY=1 is set") -> None:
    """Refuses a member whose accuracy was not measured; `why` says who requires it.

    Raises:
        Fault: says why it was not measured.
    """
    accuracy = report.accuracy
    if accuracy.measured is None:
        raise Fault(
            f"{member}: its accuracy was not measured ({accuracy.reason}), and {why}; give images"
            " with IMAGENET=, or require none to publish a card that says so"
        )


def _published_file(hub: Path, path: str) -> PublishedFile:
    """Describes a file of the hub."""
    return PublishedFile(path, (hub / path).stat().st_size, sha256_of(hub / path))


def _store_pages(module: Packed, previous: ModuleEntry | None, hub: Path) -> tuple[PublishedFile, ...]:
    """Writes a module's card, pages, pictures and report, which count once the index lists them; returns all its files.

    The card of a version that was withdrawn goes on saying so.
    """
    name = module.handle
    tarball = PublishedFile(f"{name}.tar.gz", module.tarball.size, module.sha256)
    pages = [
        new_page(f"{name}.md", add_notices(module.card, previous) if previous else module.card),
        *(new_page(f"{name}/{page}", text) for page, text in module.pages.items()),
        *(new_page(f"{name}/plots/{plot.file}", picture, plot.title) for plot, picture in module.plots.items()),
        new_page(f"{name}/report.json", module.report),
        *(
            new_page(f"{name}/examples/{example.file}", picture, example.true.title)
            for example, picture in module.examples.items()
        ),
    ]
    format_pages = [new_page(f"{name}/{path}", content) for path, content in module.formats.pages.items()]
    store_pages(hub, [*pages, *format_pages])
    formats = (PublishedFile(path, file.size, file.sha256) for path, file in module.format_files.items())
    return tarball, *(page.file for page in pages), *formats, *(page.file for page in format_pages)


def _write_lists(
    parts: Parts,
    changed: Index,
    settings: HubSettings,
    publisher: Publisher,
    published: Sequence[ModuleEntry | CollectionEntry],
    memory: SiteMemory,
) -> None:
    """Writes what lists the modules, and the pages that people see: each file after those that it names.

    What is published counts from the moment that the index is written.
    """
    hub = parts.hub
    modules = [entry for entry in published if isinstance(entry, ModuleEntry)]
    collections = [entry for entry in published if isinstance(entry, CollectionEntry)]
    named = {**parts.overview.collections, **{entry.address: entry for entry in collections}}
    # The page has a line for each module; those of others were checked when they were published.
    own = render_publisher(publisher, modules, [named[address] for address in sorted(named)])
    tf_hub_rules.check(own, f"{publisher.id}.md")
    parts = write_parts(parts, changed, settings.url)
    write_copies(hub, published)
    overview = parts.overview
    page = render_publisher(publisher, overview.modules.values(), overview.collections.values())
    if not has_text(path := hub / publisher.id / f"{publisher.id}.md", page):
        write_text(path, page)
    website.build_hub(hub, memory, parts)
    remove_replaced(hub, published)


def _write_receipt(receipt: Path, hub: Path, published: Mapping[str, ModuleEntry | CollectionEntry]) -> None:
    """Writes what was published where; make takes it as the sign that the member is published."""
    content = {"hub": str(hub.resolve()), "published": {name: entry.to_json() for name, entry in published.items()}}
    write_text(receipt, json.dumps(content, indent=2, sort_keys=True) + "\n")


def publish_member(outputs: Outputs, hub: Path, receipt: Path, url: str | None = None) -> None:
    """Publishes both modules of a member, after every check has passed.

    Args:
        outputs: what to publish.
        hub: the hub's folder, created if it is missing.
        receipt: the file to write last.
        url: the hub's public address; None for the collection's.

    Raises:
        Fault: for a hub of another publisher or a policy that is not met (pipeline.hub.settings), for a name that no
            handle can have or a malformed index (pipeline.hub.index), and as read_plots(), read_packed(), is_missing(),
            check_unique(), refuse_yanked() and make_statements() do; the hub is unchanged.
    """
    handles = handles_of(outputs.collection, outputs.member, outputs.module.version)
    plots = read_plots(outputs.folder, outputs.report)
    modules = [read_packed(outputs, head, handle, plots) for head, handle in handles.items()]
    published = {}
    today = datetime.now(UTC).date().isoformat()
    with locked(hub) as lock:
        lock.sweep()
        parts = read_parts(hub, (memory := website.recall(hub)).parts)
        parts.refuse_full(*handles.values())
        overview, index = parts.overview, parts.merge(*handles.values())
        to_place = _files_to_place(modules, hub, index)
        for module in modules:
            check_unique(module, overview)
        refuse_yanked(modules, index)
        statements = make_statements(outputs, modules, hub)
        settings = settle(hub, url or outputs.collection.hub_url.rstrip("/"), outputs.collection.publisher.id)
        _check_policy(outputs, settings, statements)
        with ExitStack() as placed:  # all of them or none
            for path, file in to_place.items():
                placed.enter_context(placing(file, hub / path))
        for module in modules:
            previous = index.modules.get(module.handle)
            files = _store_pages(module, previous, hub)
            if statement := statements.get(module.handle):
                listed = previous.statement if previous else None
                paths = write_statement(hub, statement, outputs.signers, listed.path if listed else None)
                files += tuple(_published_file(hub, path) for path in paths)
            entry = module_entry(
                module.handle,
                module.head,
                outputs.module,
                outputs.collection,
                outputs.report,
                files,
                module.formats.reports,
            )
            published[module.handle] = carry_over(previous, replace(entry, published=today))
            _refuse_unreadable(published[module.handle])
        updated = index.with_modules(published)
        write_settings(hub, settings)  # a publication that failed before has settled no address
        _write_lists(parts, updated, settings, outputs.collection.publisher, list(published.values()), memory)
    _write_receipt(receipt, hub, published)
    _print_published(modules, hub)
    if missing := published[handles[Head.CLASSIFICATION]].missing:
        reasons = " and ".join(item.reason for item in missing)
        remedies = ", and ".join(item.remedy for item in missing)
        print(f"{outputs.member} is a draft, which make release refuses: {reasons}; {remedies}")


def _files_to_place(modules: Sequence[Packed], hub: Path, index: Index) -> dict[str, Hashed]:
    """Returns the tarballs and files of formats that are not in the hub yet, by their paths there."""
    files = {}
    for module in modules:
        previous = index.modules.get(module.handle)
        _refuse_left_out(module, previous)
        listed = {file.path: file for file in previous.files} if previous else {}
        for path, file in module.lasting_files.items():
            if is_missing(file, hub / path, listed.get(path)):
                files[path] = file
    return files


def _refuse_left_out(module: Packed, previous: ModuleEntry | None) -> None:
    """Refuses a version that is published in a format which fails its checks by now: nobody would be told."""
    for report in module.formats.left_out:
        if previous and previous.format(report.name):
            raise Fault(
                f"{module.handle}: it is published as {report.name}, which would be left out now: {report.left_out};"
                " published files stay, so raise module.version, or name other formats (formats, or FORMATS=)"
            )


def _refuse_unreadable(entry: ModuleEntry) -> None:
    """Refuses an entry that no command could read from the index again."""
    try:
        read_module(entry.handle, json.loads(json.dumps(entry.to_json(), allow_nan=False)))
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(
            f"{entry.handle}: the index cannot say what was made of it ({error}); correct the text or the figure, which"
            " is from the member's YAML files, report.json or formats.json"
        ) from None


def _print_published(modules: Sequence[Packed], hub: Path) -> None:
    for module in modules:
        names = [report.name.value for report in module.formats.reports]
        formats = f", as {', '.join(names)} in {hub / module.handle}" if names else ""
        print(f"published {module.handle}: {hub / module.handle}.tar.gz{formats}")
        for report in module.formats.left_out:
            print(f"{module.handle}: {report.name} is left out: {report.left_out}")


def _check_policy(outputs: Outputs, settings: HubSettings, statements: Mapping[str, Statement]) -> None:
    """Refuses a member that does not meet the policy of the hub."""
    if settings.policy.require_accuracy:
        check_measured(outputs.member, outputs.report, f"{FILE} of the hub requires it")
    if settings.policy.require_signature and not (statements and outputs.signers):
        raise Fault(f"{outputs.member}: {FILE} of the hub requires signed statements; sign them with SIGN=<key>")


def publish_collection(collection: Collection, page: Path, hub: Path, receipt: Path, url: str | None = None) -> None:
    """Publishes a collection's page; its links lead to modules published before."""
    name = f"{collection.publisher.id}/collections/{collection.name}/1"
    text = read_generated(page, "delete it and run the same command again")
    with locked(hub):
        parts = read_parts(hub, (memory := website.recall(hub)).parts)
        parts.refuse_full(name)
        index = parts.merge(name)
        settings = settle(hub, url or collection.hub_url.rstrip("/"), collection.publisher.id)
        entry = CollectionEntry(name, (store_page(hub, f"{name}.md", text),))
        write_settings(hub, settings)
        _write_lists(parts, index.with_collection(entry), settings, collection.publisher, [entry], memory)
    _write_receipt(receipt, hub, {name: entry})


def read_outputs(facts: Path, folder: Path, lock: str | None, sign: str | None) -> Outputs:
    """Reads what the earlier stages made of a member.

    Args:
        facts: the member's YAML file.
        folder: the member's outputs.
        lock: the setting LOCK, or None for the lock file of the collection.
        sign: the setting SIGN, the keys that sign, or None.
    """
    member = Member(facts)
    module = member.section("module", Module)
    collection, _ = collection_of(facts, None)
    pin = LockFile(lock_file.locate(member.folder, lock)).pin_of(member.checkpoint_name())
    report = with_recorded_arrays(load_report(folder / "report.json"), pin.arrays)
    signers = keys.load_signers(sign) if sign else ()
    formats = load_formats(folder / REPORT) if (folder / REPORT).exists() else None
    return Outputs(facts.stem, module, collection, folder, report, read_build(folder), signers, formats)


def _ask_to_sign(hub: Path) -> None:
    """Says that the index of a signed hub was signed before this publication."""
    if (hub / TIMESTAMP_PATH).exists():
        print(f"{hub} is signed: who verifies its signatures refuses what was published now until you run make sign")


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.publish", description="Publishes into a hub folder.")
    parser.add_argument("what", choices=("member", "collection"))
    parser.add_argument("facts", type=Path, help="the member's YAML file, or collection.yaml")
    parser.add_argument("source", type=Path, help="the member's folder, or the collection's page")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("receipt", type=Path, help="the receipt to write, JSON")
    parser.add_argument("--require-accuracy", action="store_true", help="refuse a member whose accuracy is unknown")
    parser.add_argument("--sign", metavar="KEY", help="sign the modules' statements with this key")
    add_address(parser)
    lock_file.add_option(parser)
    args = parser.parse_args(arguments)
    hub = hub_folder(args.hub)
    url = public_url(hub, args.hub_url, args.move)
    if args.what == "collection":
        collection, _ = collection_of(args.facts, None)
        publish_collection(collection, args.source, hub, args.receipt, url)
        _ask_to_sign(hub)
        return f"collection {collection.name} in {hub}"
    refuse_text_faults(args.facts)
    outputs = read_outputs(args.facts, args.source, args.lock, args.sign)
    if args.require_accuracy:
        check_measured(outputs.member, outputs.report)
    publish_member(outputs, hub, args.receipt, url)
    _ask_to_sign(hub)
    return f"{outputs.member} in {hub}"


if __name__ == "__main__":
    raise SystemExit(command("publish", main))
