"""Checks a whole hub from outside: its index, every file that this lists, claims, statements, and its start page."""

import json
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts
from pipeline.base.progress import Progress
from pipeline.base.text import LARGEST_GENERATED
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.permanent import permanent_files
from pipeline.hub.settings import FILE, parse_settings
from pipeline.hub.shards import ROOT, parse_root
from pipeline.hub.values import Entry
from pipeline.trust.chain import TIMESTAMP_PATH
from pipeline.trust.client import TrustedIndex, read_trusted_index
from pipeline.trust.roles import NamedKey, current_time, find_expiring
from pipeline.verifying.findings import Findings
from pipeline.verifying.hub_index import HubIndex
from pipeline.verifying.readers import Reader
from pipeline.verifying.statements import check_statement

START_PAGE, TARBALL = "index.html", ".tar.gz"


def verify_hub(reader: Reader, root: bytes | None, state: Path) -> Findings:
    """Checks a hub.

    Args:
        reader: reads it.
        root: the pinned root.json; without one no signature is verified.
        state: the folder of what was seen of this hub before, with this root.

    Raises:
        Fault: when the signed metadata are not what the root leads to, there is no index, or the hub cannot be reached.
    """
    findings = Findings(reader.address)
    trusted = trust_index(reader, root, state, findings) if root is not None else None
    _HubCheck(reader, HubIndex(reader, trusted, findings), trusted, findings).run()
    return findings


def trust_index(reader: Reader, root: bytes, state: Path, findings: Findings) -> TrustedIndex:
    """Returns what was signed, and writes into `findings` by whom, and what expires soon.

    Raises:
        Fault: as read_trusted_index() does.
    """
    try:
        trusted = read_trusted_index(reader.small, root, state)
    except Fault as fault:
        raise Fault(f"{reader.address}: {fault}") from None
    findings.is_verified = True
    findings.roles += trusted.roles.values()
    findings.notes += find_expiring(trusted.roles, current_time())
    return trusted


class _HubCheck:
    """Compares the files of a hub with its index."""

    def __init__(self, reader: Reader, parts: HubIndex, trusted: TrustedIndex | None, findings: Findings) -> None:
        self._reader, self._parts, self._trusted, self._findings = reader, parts, trusted, findings
        self._index = parts.read()
        entries = self._index.document["modules"]
        self._permanent = {handle: permanent_files(entries[handle]) for handle in self._index.modules}
        self._paths = {file["sha256"]: path for files in self._permanent.values() for path, file in files.items()}
        self._behind: list[str] = []  # plain copies of pages
        self._requires_signature = False
        self._lacking: dict[str, list[str]] = {"claim": [], "statement": [], "signature": []}

    def run(self) -> None:
        """Checks the settings, every file that the index lists, then the links of the start page."""
        self._check_settings()
        entries = self._index.entries
        with Progress("verify", sum(file.size for entry in entries.values() for file in entry.files), "B") as progress:
            for name, entry in entries.items():
                for file in entry.files:
                    self._check_file(name, file, progress.advance)
                    self._check_copy(file)
                if isinstance(entry, ModuleEntry):
                    self._check_module(entry)
        self._check_start_page()
        if self._behind:
            text = f"{list_names(self._behind, 3)}: missing, or the text of before"
            self._findings.notes.append(f"{text}; a publication was interrupted: publish or release again")
        if len(self._lacking["claim"]) == self._findings.modules:
            self._lacking["claim"] = []  # a folder that was never released has none
        for what, handles in self._lacking.items():
            if handles:
                text = f"{len(handles):,} modules have no {what}: {list_names(handles, 3)}"
                if self._requires_signature and what != "claim":
                    self._problem(FILE, f"it requires signatures, and {text}")
                else:
                    self._findings.notes.append(text)

    def _check_settings(self) -> None:
        """Reads hub.yaml, which must be of the same hub as the index."""
        content, root = self._reader.small(FILE), self._reader.small(ROOT)
        if content is None:
            return
        place = f"{self._reader.address}/{FILE}"
        try:
            settings = parse_settings(content, place)
            url = parse_root(f"{self._reader.address}/{ROOT}", root).url if root else None
        except Fault as fault:
            self._findings.problems.append(str(fault))
            return
        if url not in (None, settings.url):
            self._problem(FILE, f"url {settings.url}, but {ROOT} says {url}")
        self._requires_signature = settings.policy.require_signature
        if self._requires_signature and not self._reader.has(TIMESTAMP_PATH):
            self._findings.notes.append(f"{FILE} requires signatures, and the index has none: run make keys")

    def _check_file(self, name: str, file: PublishedFile, advance: Callable[[int], object]) -> None:
        seen = self._reader.seen(file.path, file.size, advance)
        self._findings.files += 1
        self._findings.bytes += file.size
        if seen is None:
            self._problem(file.path, f"missing, but the index lists it for {name}")
        elif seen.size != file.size or seen.sha256 != file.sha256:
            text = self._describe_change(name, seen.sha256)
            got = f"{seen.size:,} bytes, sha256 {seen.sha256}" if seen.size <= file.size else "more bytes"
            self._problem(file.path, f"{text}: expected {file.size:,} bytes, sha256 {file.sha256}, got {got}")

    def _describe_change(self, name: str, sha256: str) -> str:
        """Says what lies in the place of a file of a module: another tarball or file of a format, or other bytes."""
        other = self._paths.get(sha256, "")
        if (handle := other.removesuffix(TARBALL)) in self._permanent:  # and not the archive of a format
            return f"it is the tarball of {handle}, not of {name}"
        return f"it is {other}" if other else "changed since the index listed it"

    def _check_copy(self, file: PublishedFile) -> None:
        """Compares the plain copy of a page, which people and links read, with the page that the index lists."""
        if file.page == file.path:
            return
        seen = self._reader.seen(file.page, LARGEST_GENERATED)
        if seen is None:
            self._behind.append(file.page)
        elif seen.sha256 != file.sha256:
            if self._parts.was_listed(file, seen.sha256):
                self._behind.append(file.page)
            else:
                self._problem(file.page, f"changed: expected a copy of {file.path}, which the index lists")

    def _check_module(self, entry: ModuleEntry) -> None:
        self._findings.modules += 1
        for path, file in self._permanent[entry.handle].items():
            is_tarball = path == entry.tarball.path
            has_claim = self._check_claim(entry.handle if is_tarball else path, file)
            if is_tarball and not has_claim:  # formats have none where a release found them listed already
                self._lacking["claim"].append(entry.handle)
        if entry.statement is None:
            self._lacking["statement"].append(entry.handle)
            return
        path = entry.statement.path
        content = self._reader.small(path)
        if content is None:  # named as missing already
            return
        self._findings.statements += 1
        keys: Mapping[str, NamedKey] | None = self._trusted.keys if self._trusted else None
        try:
            checked = check_statement(content, keys)
            checked.refuse_other(entry.handle, entry.tarball.sha256)
        except Unreadable as reason:
            self._problem(path, str(reason))
            return
        self._findings.signed_by.update(checked.signers)
        if not checked.is_signed and (self._trusted or self._requires_signature):
            self._lacking["signature"].append(entry.handle)

    def _check_claim(self, name: str, file: Entry) -> bool:
        """Compares the claim of a handle, or of a format's file, with the index; returns whether there is one."""
        path, expected = f"claims/{name}.json", {"sha256": file["sha256"], "size": file["size"]}
        content = self._reader.small(path)
        if content is None:
            return False
        try:
            claim = parse_facts(content)
        except Unreadable as reason:
            self._problem(path, str(reason))
            return True
        if claim != expected:
            text = f"claims {show_name(json.dumps(claim))}, but the index lists {json.dumps(expected)}"
            self._problem(path, f"{text} for {name}")
        return True

    def _check_start_page(self) -> None:
        content = self._reader.small(START_PAGE)
        if content is None:
            self._findings.notes.append(f"there is no {START_PAGE}")
            return
        for link in sorted(_links(content.decode(errors="replace"))):
            if not self._reader.has(link):
                self._problem(START_PAGE, f"it links to {show_name(link)}, and there is no such file")

    def _problem(self, path: str, text: str) -> None:
        self._findings.problems.append(f"{self._reader.address}/{path}: {text}")


class _Links(HTMLParser):
    """Collects what a page links to, or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attributes if name in ("href", "src") and value}


def _links(page: str) -> set[str]:
    """Returns the paths of the hub's own files that its start page links to, relative as all links of a hub are."""
    parser = _Links()
    parser.feed(page)
    paths = set()
    for link in parser.links:
        try:
            parts = urlsplit(link)
        except ValueError:  # of a host that is none: it leads out of the hub
            continue
        path = unquote(parts.path)
        if not parts.scheme and not parts.netloc and path and not path.startswith("/") and ".." not in path.split("/"):
            paths.add(path.removeprefix("./"))
    return paths
