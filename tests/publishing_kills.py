"""Kills publish at a chosen moment, in a process of its own, and says what is wrong with the hub that it leaves.

Not a test itself: tests and benchmarks.publishing_kills run it (Linux).
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from urllib.parse import unquote

from pipeline.base.files import sha256_of
from pipeline.hub.folder import read_index
from pipeline.hub.index import parse_index
from pipeline.hub.shards import parse_document

# What changes a folder of the hub: each event comes before the change (https://docs.python.org/3/library/audit_events).
_CHANGES = ("os.rename", "os.link", "os.remove", "shutil.rmtree")


def kill_before(change: int, work: Callable[[], object]) -> bool:
    """Runs `work` in a process that is killed before its change of this number, from 1; returns whether it came to it.

    Changes are files that are renamed, linked or removed, as all of a hub's are.
    """
    count = 0

    def hook(event: str, _: object) -> None:
        nonlocal count
        if event in _CHANGES:
            count += 1
            if count == change:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        sys.addaudithook(hook)
        work()

    return _fork(watched, None)


def kill_after(seconds: float, work: Callable[[], object]) -> bool:
    """Runs `work` in a process that is killed after a time; returns whether the kill came before its end."""
    return _fork(work, seconds)


def _fork(work: Callable[[], object], seconds: float | None) -> bool:
    process = os.fork()
    if not process:
        try:
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                work()
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0


def find_damage(hub: Path) -> list[str]:
    """Returns where a hub is not whole: what an index lists and is not there, and dead links of the start page."""
    problems = []
    indexes = {"the index": read_index(hub)}
    with suppress(FileNotFoundError):  # of a first publication
        document = parse_document("index.json", (hub / "index.json").read_bytes())
        indexes["index.json"] = parse_index(hub / "index.json", document)
    for name, index in indexes.items():
        for entry in index.entries.values():
            for file in entry.files:
                path = hub / file.path
                if not path.is_file() or path.stat().st_size != file.size or sha256_of(path) != file.sha256:
                    problems.append(f"{name} lists {file.path}, which is missing or has other bytes")
    problems += [f"index.html links to {link}, which is missing" for link in _dead_links(hub / "index.html")]
    for path in hub.rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_bytes())
    return problems


def _dead_links(page: Path) -> list[str]:
    if not page.exists():
        return []
    links = {unquote(link) for link in re.findall(r'(?:href|src)="([^"#:?]+)[^":]*"', page.read_text())}
    return sorted(link for link in links if not (page.parent / link).is_file())
