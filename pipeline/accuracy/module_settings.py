"""What a person says of a module: make's settings SIGNATURE, OUTPUT and so on, and AGAINST_SIGNATURE and so on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from pipeline.accuracy.pixels import Pixels, parse_range
from pipeline.base.fault import Fault, nearest
from pipeline.facts.collection import ACTIVATIONS
from pipeline.model.protocols import PROTOCOLS

LAYOUTS = ("NHWC", "NCHW")
AGAINST = "AGAINST_"


@dataclass(frozen=True)
class ModuleSettings:
    """The settings of one module; None where one is not given.

    Attributes:
        signature: the name of the signature to call, or "__call__" for the model itself.
        output: the name of the output to measure.
        tags: those of the meta graph to load.
        size: the side of the input in pixels.
        layout: one of LAYOUTS.
        range: of the pixels.
        background: whether the first output stands for none of the labels.
        protocol: one of PROTOCOLS.
        activation: one of ACTIVATIONS: what turns logits into probabilities.
        prefix: AGAINST for the second module, else "".
        inherited: the names of the fields that were given for the first module: they count where they fit.
    """

    signature: str | None = None
    output: str | None = None
    tags: tuple[str, ...] | None = None
    size: int | None = None
    layout: str | None = None
    range: Pixels | None = None
    background: bool | None = None
    protocol: str | None = None
    activation: str | None = None
    prefix: str = ""
    inherited: frozenset[str] = field(default_factory=frozenset)

    def setting(self, name: str) -> str:
        """Returns make's name of a field's setting, such as "AGAINST_SIZE"."""
        return f"{self.prefix}{name.upper()}"

    def is_demanded(self, name: str) -> bool:
        """Whether a field was given for this very module, so that it must fit."""
        return getattr(self, name) is not None and name not in self.inherited


NAMES = tuple(one.name for one in fields(ModuleSettings) if one.name not in ("prefix", "inherited"))


def read_settings(given: Mapping[str, str | None], prefix: str = "") -> ModuleSettings:
    """Returns the settings of a module, "" or None where one is not given.

    Args:
        given: by make's name in lower case, those of both modules, such as "size" and "against_size".
        prefix: AGAINST for the second module, which takes over what is given for the first.

    Raises:
        Fault: names the first setting that cannot be.
    """
    values: dict[str, object] = {}
    inherited = set()
    for name in NAMES:
        text = given.get(f"{prefix.lower()}{name}")
        if not text and prefix:
            text = given.get(name)
            inherited.add(name)
        if text:
            values[name] = _parse(f"{'' if name in inherited else prefix}{name.upper()}", name, text)
    return ModuleSettings(**values, prefix=prefix, inherited=frozenset(inherited & set(values)))  # type: ignore[arg-type]


def _parse(setting: str, name: str, text: str) -> object:
    """Returns the value of a setting; raises Fault where it has none of that text."""
    choices = {"layout": LAYOUTS, "protocol": PROTOCOLS, "activation": ACTIVATIONS, "background": ("0", "1")}
    if name in choices and text not in choices[name]:
        hint = nearest(text, choices[name])
        raise Fault(f"{setting}={text}: expected {' or '.join(choices[name])}{hint}")
    if name == "size" and not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise Fault(f"{setting}={text}: expected a number of pixels from 1")
    if name == "range":
        return parse_range(setting, text)
    if name == "tags":
        return tuple(sorted(set(filter(None, text.split(",")))))
    if name == "background":
        return text == "1"
    return int(text) if name == "size" else text
