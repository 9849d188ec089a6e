"""The code of a stage as Python runs it: comments, docstrings and layout don't count; a change asks for the stage."""

import ast
import hashlib
import json
import sys
from pathlib import Path

from pipeline.base.files import write_text

ROOT = Path(__file__).parents[2]
_HOW = Path(__file__).read_text(encoding="utf-8")  # what is remembered holds for this module as it is
VERBATIM = ("saved_model.selftest",)  # modules that travel inside the artifacts as they are, comments and all

# The digest of a module, and the dotted names below `pipeline` that it imports: of modules, and of what modules define.
Module = tuple[str, list[str]]


class _WithoutDocstrings(ast.NodeTransformer):
    """Removes strings that stand alone as a statement; they don't change what the code does."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _imported(node: ast.AST) -> list[str]:
    """Returns the dotted names that an import statement names below `pipeline`; [] for any other node."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return []
    return [name.removeprefix("pipeline.") for name in names if name.startswith("pipeline.")]


def _parsed(text: str, verbatim: bool) -> Module:
    """Returns what a module's text says; its digest is of the text itself if it counts verbatim."""
    tree: ast.Module = _WithoutDocstrings().visit(ast.parse(text))
    imports = sorted({name for node in ast.walk(tree) for name in _imported(node)})
    content = text if verbatim else ast.dump(tree)
    return hashlib.sha256(content.encode()).hexdigest(), imports


def _with_packages(name: str) -> list[str]:
    """Returns "a", "a.b" and "a.b.c" for "a.b.c": importing a module runs its packages, too."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


class StageCode:
    """Digests of stages' code; what parsing a module gave is remembered by its content, since parsing takes longest."""

    def __init__(self, path: Path, root: Path = ROOT) -> None:
        """Reads what an earlier process remembered in `path`; the modules are in the folder `pipeline` of `root`."""
        self._path, self._root = path, root
        self._before: dict[str, Module] = json.loads(path.read_text()) if path.exists() else {}
        self._now: dict[str, Module] = {}
        self._modules: dict[str, Module | None] = {}

    def _module(self, name: str) -> Module | None:
        """Returns a module or package of `pipeline` by its dotted name; None where there is none of that name."""
        if name not in self._modules:
            place = self._root.joinpath("pipeline", *name.split("."))
            paths = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()]
            self._modules[name] = self._remembered(name, paths[0].read_text(encoding="utf-8")) if paths else None
        return self._modules[name]

    def _remembered(self, name: str, text: str) -> Module:
        key = hashlib.sha256(f"{sys.version_info[:2]} {_HOW} {name} {text}".encode()).hexdigest()
        self._now[key] = self._before.get(key) or _parsed(text, name in VERBATIM)
        return self._now[key]

    def digest(self, stage: str) -> str:
        """Returns the digest of a stage's module and of every module of `pipeline` that it imports, directly or not."""
        seen: dict[str, str] = {}
        waiting = [stage]
        while waiting:
            name = waiting.pop()
            if name not in seen and (module := self._module(name)):
                seen[name] = module[0]
                waiting += [part for imported in module[1] for part in _with_packages(imported)]
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()

    def keep(self) -> None:
        """Writes what the next process is to remember, if it is something else than before."""
        if self._now.keys() != self._before.keys():
            write_text(self._path, json.dumps(self._now))
