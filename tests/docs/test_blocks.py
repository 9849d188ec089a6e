"""Code in README.md and docs/: the comment before each block says how it is tested, and that is true."""

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NOT_CODE = {"text", "mermaid"}
# The line before a block: what is done with it and where, or why nothing is.
RUN = re.compile(r"<!-- (?P<verb>run|make -n|parsed|compared) by (?P<file>tests/\S+\.py) -->")
NOT_RUN = re.compile(r"<!-- not run by the tests: (?P<reason>.+) -->")
READERS = {"blocks_of", "code_blocks"}  # the functions of tests/snippets.py that return blocks of a page
THIS = "tests/docs/test_blocks.py"


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        page: the path of the page, such as docs/web.md.
        line: the number of its first line, the fence.
        language: the word after the fence.
        code: without its indentation.
        comment: the line before it.
    """

    page: str
    line: int
    language: str
    code: str
    comment: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def find_blocks(page: str, text: str) -> Iterator[Block]:
    """Yields the blocks of code of a page in Markdown."""
    for match in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start()].splitlines()
        comment = before[-1].strip() if before else ""
        yield Block(page, len(before) + 1, match[2], textwrap.dedent(match[3]), comment)


BLOCKS = [
    block
    for path in PAGES
    for block in find_blocks(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    if block.language not in NOT_CODE
]


def blocks_with(verb: str, *languages: str) -> list[Block]:
    """Returns the blocks that this file tests in some way."""
    return [block for block in BLOCKS if block.comment == f"<!-- {verb} by {THIS} -->" and block.language in languages]


@cache
def blocks_that_are_read(source: str) -> frozenset[tuple[str, str]]:
    """Returns pages and languages whose blocks the code of a test reads.

    A function counts that names the page and calls one of READERS; so does a statement outside of functions. The second
    argument of the call is the language, Python without one.
    """
    pairs: set[tuple[str, str]] = set()
    for statement in ast.parse(source).body:
        nodes = list(ast.walk(statement))
        docstring = ast.get_docstring(statement, clean=False) if isinstance(statement, ast.FunctionDef) else None
        words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        pages = {word for word in words - {docstring} if re.fullmatch(r"README\.md|docs/\w+\.md", word)}
        calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id in READERS:
                language = call.args[1] if call.args[1:] else ast.Constant("python")
                if isinstance(language, ast.Constant):
                    pairs |= {(page, str(language.value)) for page in pages}
    return frozenset(pairs)


def fault(block: Block) -> str:
    """Returns what is wrong with the comment before a block; "" for nothing."""
    if reason := NOT_RUN.fullmatch(block.comment):
        return "" if len(reason["reason"].split()) >= 3 else "the reason is too short"
    tested = RUN.fullmatch(block.comment)
    if not tested:
        return f"expected a comment that says how it is tested, got {block.comment!r}"
    path = ROOT / tested["file"]
    if not path.is_file():
        return f"there is no {tested['file']}"
    if tested["file"] == THIS:
        known = {"make -n": {"sh"}, "parsed": {"sh", "python", "yaml", "json"}}
        return "" if block.language in known.get(tested["verb"], ()) else "this file does no such thing"
    if (block.page, block.language) not in blocks_that_are_read(path.read_text(encoding="utf-8")):
        return f"{tested['file']} reads no {block.language} of {block.page}"
    return ""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_comment_before_a_block_is_true(block: Block) -> None:
    assert not fault(block)


SOURCE = '''
def test_a() -> None:
    """docs/b.md is not read."""
    page = read("docs/a.md")
    blocks_of(page, "sh")
def other() -> None:
    other("docs/c.md")
BLOCKS = code_blocks(read("README.md"))
'''


def test_what_a_test_reads_is_found() -> None:
    assert blocks_that_are_read(SOURCE) == {("docs/a.md", "sh"), ("README.md", "python")}


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("text", "expected a comment"),
        ("<!-- not run by the tests: slow -->", "too short"),
        ("<!-- run by tests/test_nothing.py -->", "there is no tests/test_nothing.py"),
        ("<!-- run by tests/test_stamps.py -->", "reads no js of docs/web.md"),
        (f"<!-- parsed by {THIS} -->", "no such thing"),
        (f"<!-- run by {THIS} -->", "no such thing"),
    ],
)
def test_a_comment_that_is_not_true_is_found(comment: str, words: str) -> None:
    assert words in fault(Block("docs/web.md", 1, "js", "let a;\n", comment))


# Commands ------------------------------------------------------------------------------------------------------------
def make_commands(script: str) -> list[list[str]]:
    """Returns the words after each `make` that begins a line, without comments; quotes hold words together."""
    lines = re.sub(r"\\\n *", "", script).splitlines()
    words = [re.findall(r"(?:[^\s\"'#]|\"[^\"]*\"|'[^']*')+|#.*", line) for line in lines]
    return [[word for word in line[1:] if not word.startswith("#")] for line in words if line[:1] == ["make"]]


def wrong_words(script: str, targets: set[str], settings: set[str]) -> list[str]:
    """Returns what the commands of make in a script name that the Makefile does not have."""
    words = [word for command in make_commands(script) for word in command if not word.startswith("-")]
    names = [(word.partition("=")[0], settings if "=" in word else targets) for word in words]
    return [name for name, known in names if name not in known]


@pytest.fixture(scope="module")
def known() -> tuple[set[str], set[str]]:
    """The targets and the settings of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)), set(re.findall(r"^([A-Z_]+) \?=", text, re.MULTILINE))


def test_all_commands_of_make_name_its_targets_and_settings(known: tuple[set[str], set[str]]) -> None:
    found = {str(block): wrong_words(block.code, *known) for block in BLOCKS if block.language == "sh"}
    assert {block: words for block, words in found.items() if words} == {}


def test_a_wrong_target_and_a_wrong_setting_are_found(known: tuple[set[str], set[str]]) -> None:
    script = 'make publish MODEL="a b"  # all\nmake publsh \\\n  MODLE=a -j2\ncurl x # make no\n'
    assert make_commands(script) == [["publish", 'MODEL="a b"'], ["publsh", "MODLE=a", "-j2"]]
    assert wrong_words(script, *known) == ["publsh", "MODLE"]


# `make` only says what it would do; no other command of the blocks is run.
PRELUDE = """\
make() { command make --no-print-directory -n PYTHON="$python" ARTIFACTS="$artifacts" "$@" >/dev/null; }
curl() { :; }
rsync() { :; }
vit-publisher() { :; }
"""


def run_plans(scripts: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs scripts whose every `make` is `make -n`, in one shell; the last line of the output names the last."""
    whole = PRELUDE + "".join(f"echo {name}\n{script}" for name, script in scripts.items())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["bash", "-eu", "-c", whole], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=environment | {"python": sys.executable, "artifacts": str(folder), "HOME": str(folder)},
    )  # fmt: skip


def test_make_accepts_the_commands(tmp_path: Path) -> None:
    blocks = blocks_with("make -n", "sh")
    (tmp_path / "augreg").mkdir()
    assert len(blocks) > 5
    done = run_plans({str(block): block.code for block in blocks}, tmp_path)
    assert done.returncode == 0, done.stdout.splitlines()[-1] + done.stderr


def test_a_command_that_make_refuses_is_found(tmp_path: Path) -> None:
    done = run_plans({"one": "make verify\n", "two": "make verify HUBB=a\n", "three": "make verify\n"}, tmp_path)
    assert (done.returncode, done.stdout.split()) == (2, ["one", "two"])
    assert "unknown setting HUBB" in done.stderr


# What is only parsed -------------------------------------------------------------------------------------------------
def check_modules(script: str) -> None:
    """Asserts that the modules of `python -m` exist."""
    for module in re.findall(r"python[\d.]* -m ((?:pipeline|benchmarks|model_cards|tests)[\w.]*)", script):
        assert find_spec(module), module


@pytest.mark.parametrize("block", blocks_with("parsed", "python", "yaml", "json"), ids=str)
def test_python_yaml_and_json_can_be_parsed(block: Block) -> None:
    if block.language == "python":
        compile(block.code, str(block), "exec", flags=ast.PyCF_ONLY_AST)
    elif block.language == "yaml":
        assert isinstance(yaml.safe_load(block.code), dict)
    else:
        json.loads(block.code)


def test_the_shell_can_parse_its_blocks() -> None:
    """All of them, also those that are not run; <placeholder> is read as a word."""
    for block in BLOCKS:
        if block.language == "sh":
            script = re.sub(r"<[\w .]+>", "placeholder", block.code)
            done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}: {done.stderr}"
            check_modules(block.code)


def test_a_module_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match=r"pipeline\.nothing"):
        check_modules(".venv/bin/python -m pipeline.nothing a\n")
    check_modules(".venv/bin/python -m pipeline.plain IN OUT\n")
