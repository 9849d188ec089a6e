"""Loads the class of a network of one's own from its Python file, and reads what it declares of itself."""

import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.base.fault import Fault, nearest
from pipeline.model.own.architecture import ARCHITECTURE, OwnArchitecture
from pipeline.model.section import Model

_LONGEST = 300  # characters of somebody else's message; JAX explains some errors on a page
# The functions of the class: how many arguments each takes.
_FUNCTIONS = {"features": "(params, images, train, rngs)", "head": "(params, features)"}
_TOKENS = {"tokens": "(params, images)"}


@dataclass(frozen=True)
class Declared:
    """What a class says of its network; docs/own_networks.md describes the attributes.

    Attributes:
        head_prefixes, state_prefixes: see pipeline.model.network.Network.
        architecture: its words for cards.
        tolerance, gradient_tolerance: see pipeline.model.network.Tolerances.
    """

    head_prefixes: tuple[str, ...]
    state_prefixes: tuple[str, ...]
    architecture: OwnArchitecture
    tolerance: float
    gradient_tolerance: float


@dataclass(frozen=True)
class Source:
    """A Python file that holds a network.

    Attributes:
        path: the file.
        name: of the class.
    """

    path: Path
    name: str

    def place(self, error: BaseException | None = None) -> str:
        """Returns "<file>", or "<file>:<line>" for an error that passed through it."""
        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            return f"{self.path}:{error.lineno}"
        frames = traceback.extract_tb(error.__traceback__ if error else None)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        return f"{self.path}:{lines[-1]}" if lines else str(self.path)

    def run(self, what: str, function: Callable[[], Any]) -> Any:
        """Calls a function that runs code of the file.

        Args:
            what: the beginning of a message about an error, such as "features() fails".
            function: what to call.

        Raises:
            Fault: for any error, with its line.
        """
        try:
            return function()
        except (Exception, SystemExit) as error:
            raise Fault(f"{self.place(error)}: {what}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Returns an error of somebody else's code in one line."""
    text = " ".join(str(error).split())
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__


def find_source(model: Model, folder: Path) -> Source:
    """Returns where the network of a section `<file>.py:<class>` is."""
    file, _, name = model.architecture.partition(":")
    return Source(folder / file, name)


def load_class(source: Source) -> type:
    """Runs the file and returns the class.

    The file is compiled here, which leaves no __pycache__ beside it.

    Raises:
        Fault: when the file is missing or fails, or has no such class.
    """
    path = source.path
    try:
        code = path.read_bytes()
    except OSError as error:
        raise Fault(
            f"{path}: cannot be read ({error.strerror}); model.architecture names this file, which lies beside the YAML"
            " file"
        ) from None
    module = ModuleType(f"own_network_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    source.run("the file fails", lambda: exec(compile(code, str(path), "exec"), module.__dict__))
    found = vars(module).get(source.name)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        kind = "has no class" if found is None else f"has a {type(found).__name__}, not a class, called"
        raise Fault(f"{path}: {kind} {source.name!r}{nearest(source.name, classes)}, which model.architecture names")
    return found


def make_network(source: Source, model: Model) -> Any:
    """Returns an instance of the class, whose functions fit the protocol; runs the file.

    Raises:
        Fault: see load_class(); or the class has no such functions, or cannot be made.
    """
    kind = load_class(source)
    for name, expected in (_FUNCTIONS | (_TOKENS if hasattr(kind, "tokens") else {})).items():
        _check_function(source, kind, name, expected)
    arguments = {"image_size": model.image_size, "classes": model.classes, "dropout": model.dropout}
    if repeated := arguments.keys() & model.options.keys():
        raise Fault(f"{source.path}: model.options repeats {min(repeated)!r}, a key of the section model; remove it")
    given = arguments | dict(model.options)
    shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return source.run(f"{source.name}({shown}) fails", lambda: kind(**given))


def _check_function(source: Source, kind: type, name: str, expected: str) -> None:
    """Refuses a class without a function that takes as many arguments as a text such as "(params, features)" has."""
    function = getattr(kind, name, None)
    if not callable(function):
        raise Fault(f"{source.path}: the class {source.name} has no function {name}{expected}; add it")
    is_static = isinstance(inspect.getattr_static(kind, name), staticmethod)
    signature = inspect.signature(function)
    try:
        signature.bind(*range(expected.count(",") + 1 + (not is_static)))
    except TypeError:
        raise Fault(f"{source.path}: {source.name}.{name} must take {expected}, got {signature}") from None


def read_declared(source: Source, kind: type) -> Declared:
    """Reads the attributes of the class.

    Raises:
        Fault: for one of another type or out of range.
    """
    reader = _Reader(source, kind)
    words = {name: reader.text(name, getattr(ARCHITECTURE, name)) for name in ("title", "plural", "tag")}
    if "plural" not in vars(kind) and words["title"] != ARCHITECTURE.title:
        words["plural"] = f"{words['title']}s"
    return Declared(
        head_prefixes=reader.prefixes("head_prefixes", ("head/",), least=1),
        state_prefixes=reader.prefixes("state_prefixes", (), least=0),
        architecture=OwnArchitecture(**words),
        tolerance=reader.tolerance("tolerance", 1e-5),
        gradient_tolerance=reader.tolerance("gradient_tolerance", 2e-4),
    )


@dataclass(frozen=True)
class _Reader:
    """Reads attributes of a class."""

    source: Source
    kind: type

    def _refuse(self, name: str, expected: str, value: object) -> Fault:
        return Fault(f"{self.source.path}: {self.source.name}.{name} must be {expected}, got {str(value)[:80]!r}")

    def text(self, name: str, default: str) -> str:
        value = getattr(self.kind, name, default)
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 100:
            raise self._refuse(name, "a text of 1 to 100 printable characters", value)
        return value

    def prefixes(self, name: str, default: tuple[str, ...], least: int) -> tuple[str, ...]:
        value = getattr(self.kind, name, default)
        is_sound = isinstance(value, (tuple, list)) and all(isinstance(each, str) and each for each in value)
        if not is_sound or len(value) < least:
            raise self._refuse(name, 'a tuple of texts such as ("head/",)', value)
        return tuple(value)

    def tolerance(self, name: str, default: float) -> float:
        value = getattr(self.kind, name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 0.1:
            raise self._refuse(name, "a number above 0 and up to 0.1", value)
        return float(value)
