"""The files that pages of the website share: style, scripts, what "Try it" runs, the pictures of the documentation."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.base.data import data_path
from pipeline.base.files import has_content, replacing
from pipeline.base.templates import TEMPLATES
from pipeline.hub import guides, litert_js
from pipeline.hub.overview import Overview

_SHARED = ("style.css", "hub.js", "listing.js", "start.js", "compare.js", "icon.svg")
_TRIAL = ("try.js", "preprocessing.js", "drawing_pad.js")


def shared_paths(overview: Overview) -> list[str]:
    """Returns the paths in the hub of the files that pages share; those of "Try it" where a page has that."""
    names = [*_SHARED]
    runtime: tuple[str, ...] = ()
    if any(module.has_trial for module in overview.modules.values()):
        names, runtime = [*names, *_TRIAL], litert_js.FILES
    return [*(f"site/{name}" for name in names), *runtime, *guides.find_guides().pictures.values()]


def write_shared(hub: Path, paths: Iterable[str]) -> None:
    """Writes the files that pages share, where they differ from what is there."""
    pictures = {path: source for source, path in guides.find_guides().pictures.items()}
    for path in paths:
        if path.startswith(litert_js.FOLDER):
            content = litert_js.read_file(path)
        else:
            content = (data_path(pictures[path]) if path in pictures else TEMPLATES / path).read_bytes()
        if not has_content(hub / path, content):
            with replacing(hub / path) as stream:
                stream.write(content)


def remove_unshared(hub: Path, shared: Collection[str]) -> None:
    """Removes what no page needs any more.

    That is what "Try it" needed of other versions of LiteRT.js, all of it where no page has that any more, and pictures
    that the documentation had.
    """
    for folder in (hub / "site").glob("litert-*"):
        if f"site/{folder.name}" != litert_js.FOLDER or litert_js.WORKER not in shared:
            shutil.rmtree(folder) if folder.is_dir() and not folder.is_symlink() else folder.unlink()
    pictures = {f"{guides.FOLDER}/{picture.name}" for picture in (hub / guides.FOLDER).glob("*.png")}
    for path in (pictures | {f"site/{name}" for name in _TRIAL}).difference(shared):
        (hub / path).unlink(missing_ok=True)
