"""The addresses of the hub: the URL conventions of tfhub.dev, and the hub's own files.

tfhub.dev's documentation ("Model hosting protocol", docs/hosting.md of tensorflow/hub) has <publisher>,
<publisher>/<module>/<version>, and <publisher>/<module> for the newest version. What follows `?tf-hub-format=` is a
list of what the client can read: "compressed", a tarball, or "uncompressed", the gs:// location of a folder. The
client, tensorflow_hub 0.16.1, adds it to whatever address it is given, a tarball's own included. tfhub.dev answered
`?lite-format=tflite` with the LiteRT file of a module, and `?tfjs-format=file`, which TensorFlow.js adds to the address
of a module's model.json, with files of its own format.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, unquote

from pipeline.base.media_types import media_type

# No leading dot: hidden files (the publisher's lock, partial files) are not served, nor are . and .. names.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~-]{0,254}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)

Names = tuple[str, ...]


class Refused(Exception):
    """The request is refused: an HTTP status, a sentence for the client, and headers that belong to the status."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class File:
    """A file of the hub, by the names of its folders and its own."""

    names: Names


@dataclass(frozen=True)
class Page:
    """A page, as HTML or Markdown; the names of its file without the suffix."""

    names: Names


@dataclass(frozen=True)
class Location:
    """The place in a bucket where a module lies unpacked."""

    names: Names


@dataclass(frozen=True)
class Lite:
    """The LiteRT file of a version, by the names of its handle."""

    names: Names


@dataclass(frozen=True)
class Tfjs:
    """A file of TensorFlow.js of a module, by the names of its handle with or without a version."""

    names: Names


@dataclass(frozen=True)
class Newest:
    """The newest version of a module or collection; the client is redirected."""

    names: Names


@dataclass(frozen=True)
class Moved:
    """Another address of the same page; the client is redirected."""

    names: Names


Target = File | Page | Location | Lite | Tfjs | Newest | Moved


class _Form(StrEnum):
    """What a query asks for instead of the page."""

    COMPRESSED = "compressed"
    UNCOMPRESSED = "uncompressed"
    LITE = "tflite"
    TFJS = "file"


# The formats of a hub's files that a query may ask for: the first of these names that it has decides.
_FORMS = {
    "lite-format": (_Form.LITE,),
    "tfjs-format": (_Form.TFJS,),
    "tf-hub-format": (_Form.COMPRESSED, _Form.UNCOMPRESSED),
}


def is_version(name: str) -> bool:
    """Returns whether a name is a version: a whole number from 1, written without leading zeros."""
    return bool(_VERSION.fullmatch(name))


def path_of(target: str) -> str:
    """Returns the path of a request's target, which a proxy's client sends as a whole URL (RFC 9112, section 3.2.2).

    Raises:
        Refused: when it is neither.
    """
    path = _AUTHORITY.sub("", target, count=1) or "/"
    if not path.startswith("/"):
        raise Refused(400, "The path of an address begins with a slash.")
    return path


def relative_address(path: str, names: Names) -> str:
    """Returns the address of `names` relative to a request's path, so that it works behind a proxy on a sub-path."""
    return "../" * (path.count("/") - 1) + "/".join(names)


def _form_of(query: str) -> _Form | None:
    """Returns what a query asks for; None for the page."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Refused(400, "The query has too many fields.") from None
    for key, forms in _FORMS.items():
        if key in fields:
            return _choose(key, fields[key][-1], forms)  # tensorflow_hub appends its own
    return None


def _choose(key: str, listed: str, forms: Sequence[_Form]) -> _Form:
    """Returns the first form of a list that the hub knows."""
    for name in listed.split(","):
        if name in forms:
            return _Form(name)
    raise Refused(400, f"Unknown {key}={listed[:40]!r}; expected {' or '.join(forms)}.")


def _module(names: Names, form: _Form | None) -> Target:
    match form:
        case _Form.COMPRESSED:
            return File((*names[:-1], names[-1] + ".tar.gz"))
        case _Form.UNCOMPRESSED:
            return Location(names)
        case _Form.LITE:
            return Lite(names)
    return Page(names)


def _handle(names: Names, form: _Form | None) -> Target:
    """Returns the target of an address without a suffix of files."""
    match names:
        case (publisher,):
            return Moved((publisher, publisher))  # where the relative links of its page work
        case (publisher, "collections", _):
            return Newest(names)
        case (publisher, "collections", _, version) if is_version(version) and not form:
            return Page(names)
        case (publisher, page) if publisher == page and not form:
            return Page(names)
        case (_, module) if module != "collections":
            return Newest(names)
        case (_, _, version) if is_version(version):
            return _module(names, form)
    raise Refused(404, "There is no such module, collection, publisher or file in this hub.")


def _tfjs(names: Names) -> Tfjs:
    """Returns what TensorFlow.js asks for: model.json of a module, and then files beside it."""
    match names:
        case (_, "collections", *_):
            pass
        case (_, _, version, *_) if is_version(version):
            return Tfjs(names[:3])
        case (_, _) | (_, _, "model.json"):
            return Tfjs(names[:2])
    raise Refused(404, "There is no such module in this hub.")


def _unpacked(names: Names) -> Location:
    """Returns where the content of a tarball lies; that of a format lies nowhere but in the tarball."""
    if len(names) == 3 and is_version(names[-1]):
        return Location(names)
    raise Refused(404, "This tarball is not unpacked in a bucket; ask for tf-hub-format=compressed.")


def parse_address(path: str, query: str) -> Target:
    """Parses a path, still percent-encoded, and a query.

    Raises:
        Refused: with 404 for an address that no hub can have, whatever lies on the disk; with 400 for an unknown
            format.
    """
    parts = path.removeprefix("/").split("/")
    slash = len(parts) > 1 and not parts[-1]
    # Decoded name by name, and once: an encoded slash or percent sign stays within its name and makes it invalid.
    names = tuple(unquote(part, errors="replace") for part in parts[: -1 if slash else None])
    form = _form_of(query)
    if names == ("",) and not slash:
        return File(("index.html",))
    if not all(_NAME.fullmatch(name) for name in names) or (slash and media_type(names[-1])):
        raise Refused(404, "There is no such address in this hub.")
    if form is _Form.TFJS:
        return _tfjs(names)
    if names[-1].endswith(".tar.gz") and media_type(names[-1]) and form is _Form.UNCOMPRESSED:
        return _unpacked((*names[:-1], names[-1].removesuffix(".tar.gz")))
    if media_type(names[-1]):
        return File(names)
    target = _handle(names, form)
    return Moved(names) if slash and not isinstance(target, Newest | Moved) else target
