"""What a plot in a hub may contain: an allow-list of SVG, since a browser runs an SVG file that is opened by itself.

A page shows plots with <img>, which runs nothing, and the server of this project sends a policy that forbids scripts.
Static hosts and disks have neither. So only what the templates of plots (templates/plots) draw with is published:
shapes and text, in one style sheet without addresses.
"""

import re
from xml.parsers import expat

_NAMESPACE = "http://www.w3.org/2000/svg "  # with the separator of expat's names
_ELEMENTS = frozenset(["svg", "g", "title", "desc", "style", "rect", "path", "circle", "line", "text"])
_ATTRIBUTES = frozenset(
    (
        *["viewBox", "width", "height", "role", "aria-labelledby", "id", "class", "fill", "text-anchor"],
        *["d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r"],
    )
)
_VALUE = re.compile(r"[\w .,#%+-]*")  # no address and no function has these characters alone
_DEEPEST = 8  # elements; plots have 3
# The only at-rule of a style sheet. Without "@", "(", "\" and "/" in the rest it imports and loads nothing.
_DARK = "@media (prefers-color-scheme: dark)"
_STYLE = re.compile(r"[\w\s.,:;{}#%\"-]*")


class _Refused(Exception):
    """A file has what no plot has; the message is a clause."""


class _Reader:
    """Follows expat through a file, and raises _Refused at the first thing that no plot has."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._style: list[str] = []

    def parse(self, text: str) -> None:
        parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        parser.XmlDeclHandler = self._declare
        parser.StartDoctypeDeclHandler = self._refuse_type
        parser.ProcessingInstructionHandler = self._refuse_instruction
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._read
        parser.Parse(text, True)

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() != "utf-8":
            raise _Refused(f"the encoding {encoding!r}, expected UTF-8")

    def _refuse_type(self, *_: object) -> None:
        raise _Refused("a document type, which may define entities")

    def _refuse_instruction(self, target: str, _: str) -> None:
        raise _Refused(f"the processing instruction {target!r}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = name.removeprefix(_NAMESPACE)
        if not name.startswith(_NAMESPACE) or element not in _ELEMENTS or (element == "svg") != (not self._open):
            raise _Refused(f"the element {name.rpartition(' ')[2]!r}")
        if len(self._open) == _DEEPEST:
            raise _Refused(f"elements more than {_DEEPEST} deep")
        for key, value in attributes.items():
            if key not in _ATTRIBUTES or not _VALUE.fullmatch(value):
                raise _Refused(f"the attribute {key.rpartition(' ')[2]}={value!r}")
        self._open.append(element)

    def _end(self, _: str) -> None:
        if self._open.pop() == "style":
            style, self._style = "".join(self._style), []
            if not _STYLE.fullmatch(style.replace(_DARK, "")):
                raise _Refused("a style sheet with addresses, functions or rules that plots do not have")

    def _read(self, text: str) -> None:
        if self._open[-1] == "style":
            self._style.append(text)


def find_problem(text: str) -> str:
    """Returns what an SVG has that no plot has, as a clause such as "it has the element 'script'"; "" for a plot."""
    try:
        _Reader().parse(text)
    except expat.ExpatError as error:
        return f"it is not well-formed SVG ({error})"
    except _Refused as reason:
        return f"it has {reason}"
    return ""
