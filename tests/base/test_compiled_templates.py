"""Compiled templates are kept beside their templates, as Python keeps its modules, and count only while they fit."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.templates import make_environment

_TEXT = "{% for name in names %}{{ name | in_words }}, {% endfor %}{{ 2 | in_words }}\n"


def compiled(template: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(template)))


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    path = tmp_path / "page.md.jinja"
    path.write_text(_TEXT)
    return path


def render(template: Path, autoescape: bool = False, **facts: object) -> str:
    return make_environment(template.parent, autoescape).get_template(template.name).render(**facts)


def test_a_template_is_compiled_once(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert render(template, names=[1, 3]) == "one, three, two\n"
    assert compiled(template).is_file()
    monkeypatch.setattr("jinja2.Environment.compile", None)
    assert render(template, names=[1, 3]) == "one, three, two\n"


def test_another_text_or_setting_counts(template: Path) -> None:
    template.write_text("{{ text }}")
    assert render(template, text="<b>") == "<b>"
    assert render(template, autoescape=True, text="<b>") == "&lt;b&gt;"
    assert render(template, text="<b>") == "<b>"
    template.write_text("Say {{ text }}")
    assert render(template, text="<b>") == "Say <b>"


def test_a_filter_that_changes_counts_for_constants(template: Path) -> None:
    render(template, names=[])
    environment = make_environment(template.parent, autoescape=False)
    environment.filters["in_words"] = lambda count: f"{count}!"
    assert environment.get_template(template.name).render(names=[]) == "2!\n"


@pytest.mark.parametrize("keep", [0, 10, 64, -1])
def test_a_damaged_file_counts_as_missing(template: Path, keep: int) -> None:
    render(template, names=[])
    whole = compiled(template).read_bytes()
    compiled(template).write_bytes(whole[:keep])
    assert render(template, names=[]) == "two\n"
    assert compiled(template).read_bytes() == whole


def test_changed_code_counts_as_missing(template: Path) -> None:
    render(template, names=[])
    whole = compiled(template).read_bytes()
    compiled(template).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert render(template, names=[]) == "two\n"
    assert compiled(template).read_bytes() == whole


def test_whoever_may_not_write_compiles_each_time(template: Path) -> None:
    (template.parent / "__pycache__").write_text("no folder")
    assert render(template, names=[]) == "two\n"
    assert render(template, names=[]) == "two\n"


def test_settings_of_python_count(template: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from pipeline.base.templates import make_environment;"
        f"make_environment(Path({str(template.parent)!r}), False).get_template({template.name!r})"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, check=True)
    assert not compiled(template).exists()
    elsewhere = tmp_path / "elsewhere"
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(elsewhere)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not compiled(template).exists()
    assert [path.name.split(".")[0] for path in elsewhere.rglob("page*")] == ["page"]
