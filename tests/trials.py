"""Hubs with "Try it" and with further formats, for the tests of the website."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.files import content_digest
from pipeline.base.heads import Head
from pipeline.facts.formats import FormatName
from pipeline.hub import website
from pipeline.hub.entries import PublishedFile
from pipeline.hub.folder import read_index
from pipeline.hub.published_formats import published_format
from pipeline.hub.stored import store_page
from pipeline.hub.trial import FACTS, describe_trial
from tests.format_outputs import FORMATS, describe_format
from tests.hubs import read_document, write_document


def add_file(hub: Path, path: str, content: bytes, title: str | None = None) -> PublishedFile:
    """Writes a file of a hub and returns what an index lists of it."""
    (hub / path).parent.mkdir(parents=True, exist_ok=True)
    (hub / path).write_bytes(content)
    return PublishedFile(path, len(content), content_digest(content), title)


def add_trial(
    hub: Path,
    handle: str,
    model: bytes,
    labels: Sequence[str],
    image_size: int,
    name: str = "model_int8.tflite",
    activation: str = "softmax",
    examples: Mapping[str, bytes] | None = None,
) -> Path:
    """Adds a LiteRT file to a version, and all that its page needs to offer "Try it"; returns the page.

    Args:
        hub: the hub's folder.
        handle: of the version.
        model: the LiteRT file.
        labels: the names of its classes.
        image_size: the input's side, pixels.
        name: of the LiteRT file.
        activation: softmax or sigmoid.
        examples: PNG files by what they show.
    """
    files = [add_file(hub, f"{handle}/{name}", model)]
    if facts := describe_trial(hub / handle, labels, image_size, activation):
        files.append(store_page(hub, f"{handle}/{FACTS}", facts))
        (hub / handle / FACTS).write_text(facts)
    for number, (title, picture) in enumerate((examples or {}).items()):
        files.append(add_file(hub, f"{handle}/examples/{number}.png", picture, title))
    document = read_document(hub)
    entry = document["modules"][handle]
    if examples is not None:
        entry["files"] = [file for file in entry["files"] if "/examples/" not in file["path"]]
    entry["files"] += [file.to_json() for file in files]
    write_document(hub, document)
    website.build(hub, read_index(hub))
    return hub / f"{handle}.html"


def add_formats(hub: Path, handle: str, names: Sequence[str], head: Head = Head.CLASSIFICATION) -> Path:
    """Adds formats to a version, each with files that hold their own names; returns its page."""
    document = read_document(hub)
    entry = document["modules"][handle]
    for name in map(FormatName, names):
        report = describe_format(name, head, {path: path.encode() for path in FORMATS[name][0]})
        entry.setdefault("formats", {})[name.value] = published_format(handle, report).to_json()
        files = [add_file(hub, f"{handle}/{file.path}", file.path.encode()).to_json() for file in report.files]
        entry["files"] += [file for file in files if file not in entry["files"]]
    write_document(hub, document)
    website.build(hub, read_index(hub))
    return hub / f"{handle}.html"
