"""Digests of the code that a stage runs: make repeats the stage when its digest changes.

The code is a module and all that it imports. Comments, docstrings and layout do not count. A module that imports others
by names which are known only when it runs has a constant IMPORTS_BY_NAME, the patterns of their paths below `pipeline`,
and counts as importing all of them.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.files import write_memory
from pipeline.base.json_files import recall_json

ROOT = Path(__file__).parents[2]
_OWN_TEXT = Path(__file__).read_text(encoding="utf-8")  # another way to digest makes the memory useless
VERBATIM = ("saved_model.selftest",)  # modules that are packed into the outputs as they are, comments and all

# A module's digest, and the dotted names below `pipeline` that it imports: modules, what modules define, or patterns of
# paths.
Module = tuple[str, list[str]]


class _WithoutDocstrings(ast.NodeTransformer):
    """Removes strings that are statements of their own; they do not change what the code does."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _imported(node: ast.AST) -> list[str]:
    """Returns the dotted names below `pipeline` that an import statement has; [] for any other node."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return []
    return [name.removeprefix("pipeline.") for name in names if name.startswith("pipeline.")]


def _imported_by_name(tree: ast.Module) -> list[str]:
    """Returns the patterns of the constant IMPORTS_BY_NAME of a module."""
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["IMPORTS_BY_NAME"]
    ]
    return [pattern for value in values for pattern in ast.literal_eval(value)]


def _parse(text: str, is_verbatim: bool) -> Module:
    """Returns the digest and imports of a module; the digest is that of the text itself if `is_verbatim`."""
    tree: ast.Module = _WithoutDocstrings().visit(ast.parse(text))
    imports = sorted({name for node in ast.walk(tree) for name in _imported(node)}) + _imported_by_name(tree)
    content = text if is_verbatim else ast.dump(tree)
    return hashlib.sha256(content.encode()).hexdigest(), imports


def _with_packages(name: str) -> list[str]:
    """Returns "a", "a.b" and "a.b.c" for "a.b.c": importing a module runs its packages too."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


class StageCode:
    """Digests of stages' code. Parsing takes longest, so its results are remembered by the modules' contents."""

    def __init__(self, path: Path, root: Path = ROOT) -> None:
        """Reads what an earlier process remembered in the file `path`; `root` holds the folder `pipeline`."""
        self._path, self._root = path, root
        self._before: dict[str, Module] = recall_json(path, dict[str, Module]) or {}
        self._now: dict[str, Module] = {}
        self._modules: dict[str, Module | None] = {}

    def _module(self, name: str) -> Module | None:
        """Returns a module or package of `pipeline` by its dotted name; None where there is none of that name."""
        if name not in self._modules:
            place = self._root.joinpath("pipeline", *name.split("."))
            paths = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()]
            self._modules[name] = self._recall(name, paths[0].read_text(encoding="utf-8")) if paths else None
        return self._modules[name]

    def _recall(self, name: str, text: str) -> Module:
        key = hashlib.sha256(f"{sys.version_info[:2]} {_OWN_TEXT} {name} {text}".encode()).hexdigest()
        self._now[key] = self._before.get(key) or _parse(text, name in VERBATIM)
        return self._now[key]

    def modules(self, stage: str) -> dict[str, str]:
        """Returns the digests of a stage's module and of every module that it imports, directly or not, by name."""
        seen: dict[str, str] = {}
        waiting = [stage]
        while waiting:
            name = waiting.pop()
            if name not in seen and (module := self._module(name)):
                seen[name] = module[0]
                waiting += [part for imported in self._names(module[1]) for part in _with_packages(imported)]
        return seen

    def _names(self, imports: list[str]) -> Iterator[str]:
        """Yields dotted names, with those of the modules that patterns stand for."""
        folder = self._root / "pipeline"
        for name in imports:
            if "*" in name:
                for path in sorted(folder.glob(name)):
                    yield ".".join(path.relative_to(folder).with_suffix("").parts)
            else:
                yield name

    def digest(self, stage: str) -> str:
        """Returns the digest of all modules of a stage."""
        return hashlib.sha256(json.dumps(self.modules(stage), sort_keys=True).encode()).hexdigest()

    def keep(self) -> None:
        """Writes what the next process is to remember, if it changed."""
        if self._now.keys() != self._before.keys():
            write_memory(self._path, json.dumps(self._now))
