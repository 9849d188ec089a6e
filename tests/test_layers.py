"""The imports of the pipeline: arrows between packages only as pipeline/__init__.py allows, and no circle."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

FOLDER = Path(pipeline.__file__).parent
TOP = "the top floor"


def table() -> dict[str, set[str]]:
    """Returns what each package may import, as the docstring of `pipeline` says."""
    text = (pipeline.__doc__ or "").partition("    package ")[2]
    rows = re.findall(r"^    ([a-z_]+) +(-|[a-z_]+(?:, [a-z_]+)*)  ", text, re.MULTILINE)
    return {name: set() if packages == "-" else set(packages.split(", ")) for name, packages in rows}


def imported(path: Path) -> set[str]:
    """Returns the dotted names below `pipeline` of the modules that a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline":
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("pipeline.")
                names.add(name if module_path(name) else name.rpartition(".")[0])
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("pipeline.") for alias in node.names if alias.name.startswith("pipeline.")
            }
    return names


def module_path(name: str) -> Path | None:
    path = FOLDER.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def package_of(name: str) -> str:
    """Returns the package of a module, or TOP."""
    return name.partition(".")[0] if "." in name else TOP


def modules() -> dict[str, set[str]]:
    """Returns what each module imports, by dotted names."""
    paths = [path for path in FOLDER.rglob("*.py") if path.name != "__init__.py"]
    return {".".join(path.relative_to(FOLDER).with_suffix("").parts): imported(path) for path in paths}


def forbidden(imports: dict[str, set[str]], allowed: dict[str, set[str]]) -> list[str]:
    """Returns the imports that the table does not allow, a line each."""
    wrong = []
    for module, names in sorted(imports.items()):
        mine = package_of(module)
        for name in sorted(names):
            other = package_of(name)
            fits = (name == "version" or other != TOP) if mine == TOP else other == mine or other in allowed[mine]
            if not fits:
                wrong.append(
                    f"{module} imports {name}; {mine} may import {', '.join(sorted(allowed.get(mine, set())))}"
                )
    return wrong


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Returns modules that import each other in a circle, or [] without one."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, set())):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imports) if (found := visit(name, []))), [])


def test_the_table_lists_every_package() -> None:
    assert set(table()) == {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert all(others <= set(table()) for others in table().values())
    assert circle(table()) == []


def test_imports_keep_to_the_table() -> None:
    imports = modules()
    assert len(imports) > 90
    assert forbidden(imports, table()) == []
    assert circle(imports) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("base.files", "facts.report"),
        ("cards.page", "checkpoints.npz"),
        ("fetch", "convert"),
        ("hub.index", "pool.plot"),
    ],
)
def test_an_arrow_against_the_table_is_found(module: str, name: str) -> None:
    imports = modules()
    imports[module] = imports[module] | {name}
    assert len(forbidden(imports, table())) == 1
    assert forbidden(imports, table())[0].startswith(f"{module} imports {name}")


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_every_command_is_named_in_the_docstring() -> None:
    commands = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "version"}
    lines = re.findall(r"^    (?:stages|for make|commands) +([a-z_, ]+)", pipeline.__doc__ or "", re.MULTILINE)
    assert {name for line in lines for name in line.strip().split(", ")} == commands


def test_commands_start_without_tensorflow_and_jax() -> None:
    """They take seconds to import; validate is the exception, since it always uses JAX."""
    commands = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "version", "validate"}
    imports = ", ".join(f"pipeline.{name}" for name in sorted(commands))
    code = f"import sys, {imports}; print({{'jax', 'flax', 'tensorflow'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
