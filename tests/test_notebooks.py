"""The notebooks: committed as their sources ran, without errors, warnings and paths; they run from start to end."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from benchmarks.notebooks import FOLDER, LARGEST, find_faults, list_sources, read_source, read_texts, write
from tests.conftest import ROOT, make, once, serving_folder

NAMES = [path.stem for path in list_sources()]
SOURCE = """\
# %% [markdown]
# # A title

# %% tags=["parameters"]
HUB = "../artifacts/hub"

# %%
print("1 < 2, 3 / 4, https://a.example/b/c")
"""


def test_there_are_four() -> None:
    assert NAMES == ["classification", "conversion", "fine_tuning", "model_selection"]
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_notebook_has_no_faults(name: str) -> None:
    assert find_faults(FOLDER / f"{name}.ipynb") == []


@pytest.mark.parametrize("name", NAMES)
def test_each_begins_with_what_the_reader_gets_and_with_what_may_be_changed(name: str) -> None:
    first, second = read_source(FOLDER / f"{name}.py").cells[:2]
    assert re.match("# .+\n\n", first.source)
    assert "ou will get" in first.source
    assert "Colab" in first.source
    assert second.metadata["tags"] == ["parameters"]


# Faults that are planted ----------------------------------------------------------------------------------------------
def stream(text: str, name: str = "stdout") -> NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A notebook beside its source, as if it had run."""
    (tmp_path / "made_up.py").write_text(SOURCE)
    notebook = read_source(tmp_path / "made_up.py")
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count, cell.outputs = number, []
    notebook.cells[-1].outputs = [stream("1 < 2, 3 / 4, https://a.example/b/c\n")]
    write(notebook, tmp_path / "made_up.ipynb")
    return tmp_path / "made_up.ipynb"


def test_a_notebook_as_its_source_ran_is_good(made_up: Path) -> None:
    assert find_faults(made_up) == []


def test_a_changed_source_is_found(made_up: Path) -> None:
    source = made_up.with_suffix(".py")
    source.write_text(SOURCE.replace("A title", "Another title"))
    assert find_faults(made_up) == ["made_up.ipynb: its source has changed since it ran: run make notebooks"]


def test_a_notebook_or_a_source_alone_is_found(made_up: Path) -> None:
    made_up.with_suffix(".py").unlink()
    assert find_faults(made_up)[0].startswith("made_up.ipynb has no source made_up.py: ")
    made_up.unlink()
    assert find_faults(made_up) == ["made_up.ipynb is missing: run make notebooks"]


def with_output(output: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[-1].outputs.append(output)


def edit_a_cell(notebook: NotebookNode) -> None:
    notebook.cells[-1].source += "\nprint(2)"


def run_again(notebook: NotebookNode) -> None:
    notebook.cells[-1].execution_count = 7


def record_times(notebook: NotebookNode) -> None:
    notebook.cells[-1].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}


ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no such class", traceback=[])
HTML = nbformat.v4.new_output("display_data", {"text/html": "<b>from</b> /home/jane/a.png"})
FAULTS: dict[str, tuple[Callable[[NotebookNode], None], str]] = {
    "a cell edited": (edit_a_cell, "its cells are not those of its source, which is where to edit them: run make"),
    "another order": (run_again, "its cells were not run from the first to the last: run make notebooks"),
    "times": (record_times, "it has the times at which its cells ran, which differ from run to run"),
    "an error": (with_output(ERROR), "the output of cell 2 is an error: ValueError: no such class"),
    "a warning": (with_output(stream("a.py:1: UserWarning: x\n")), "the output of cell 2 has a warning: a.py:1: User"),
    "a log": (with_output(stream("WARNING:root:x\n")), "the output of cell 2 has a warning: WARNING:root:x"),
    "stderr": (with_output(stream("I0000 cpu\n", "stderr")), "the output of cell 2 was written to stderr, where warn"),
    "a path": (with_output(stream("see /tmp/a/b.png\n")), "the output of cell 2 has a path of one machine: /tmp/a/b.p"),
    "a path in HTML": (with_output(HTML), "the output of cell 2 has a path of one machine: /home/jane/a.png"),
    "a path of Windows": (with_output(stream("C:\\a\n")), "the output of cell 2 has a path of one machine: C:\\a"),
    "much": (with_output(stream("a" * LARGEST)), "it has 40"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(made_up: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    notebook = nbformat.read(made_up, as_version=4)
    change(notebook)
    write(notebook, made_up)
    (found,) = find_faults(made_up)
    assert found.startswith(f"made_up.ipynb: {message}")


# Runs -----------------------------------------------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client caches by address; a port may come back with another hub behind it."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path_factory.mktemp("tfhub")))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the demo alone. Tests must not change it."""

    def build(folder: Path) -> None:
        settings = ("MODEL=vit_demo", "FORMATS=xla", f"ARTIFACTS={folder}/artifacts", f"HUB={folder}/hub")
        done = make(ROOT, "publish", *settings)
        assert done.returncode == 0, done.stdout + done.stderr

    return once(tmp_path_factory, "demo-for-notebooks", build) / "hub"


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)


def run_notebook(name: str, out: Path, *arguments: str) -> NotebookNode:
    """Runs a notebook as make does; returns it, and asserts that it has no faults."""
    done = run_python("-m", "benchmarks.notebooks", name, f"--out={out}", *arguments)
    assert done.returncode == 0, done.stderr
    (out / f"{name}.py").write_bytes((FOLDER / f"{name}.py").read_bytes())
    assert find_faults(out / f"{name}.ipynb") == []
    return nbformat.read(out / f"{name}.ipynb", as_version=4)


def outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    """Returns the outputs of all cells."""
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def outline(notebook: NotebookNode) -> list[tuple[str, ...]]:
    """Returns what each cell put out, without pictures and with a 0 for each number."""
    return [
        tuple(re.sub(r"[\d.,e+-]*\d", "0", text) for output in cell.outputs for text in read_texts(output))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.slow
def test_the_classification_runs_on_another_model_of_a_hub_that_is_served(published: Path, tmp_path: Path) -> None:
    images = published / "model_cards/tiny/images/*/*.png"
    with serving_folder(published / "artifacts/hub") as address:
        settings = ("--set=MODEL=tester/mini_classification/1", f"--set=IMAGES={images}", f"--hub={address}")
        notebook = run_notebook("classification", tmp_path, *settings)
    texts = [text for output in outputs_of(notebook) for text in read_texts(output)]
    assert any("images of 16 x 16 pixels, signatures: serving_classify," in text for text in texts)
    assert any(re.search(r"^0\.\d{3}  (Red|Green|Blue)$", text, re.MULTILINE) for text in texts)
    assert 'HUB = "../artifacts/hub"' in notebook.cells[1].source


def test_a_cell_that_fails_ends_the_run(made_up: Path) -> None:
    made_up.with_suffix(".py").write_text(SOURCE.replace("print(", "print(HUB + "))
    path = str(made_up.with_suffix(".py"))
    code = f"from benchmarks.notebooks import *; print(run(Path({path!r}), {{'HUB': %s}}).cells[-1])"
    done = run_python("-c", code % "'here '")
    assert done.returncode == 0, done.stderr
    assert "here 1 < 2" in done.stdout
    done = run_python("-c", code % "1")
    assert done.returncode == 1
    assert "unsupported operand type(s) for +" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classification", "--set=HUBS=x"), "--set HUBS: classification.py has no such variable in its first cell"),
        (("classification", "--set=HUB"), "--set HUB: expected NAME=VALUE"),
        (("clasification",), "clasification: no such notebook; expected classification, conversion, fine_tuning, "),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run_python("-m", "benchmarks.notebooks", *arguments, f"--out={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"notebooks: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_the_demo_and_prints_what_is_committed(name: str, demo: Path, tmp_path: Path) -> None:
    committed = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert outline(run_notebook(name, tmp_path, f"--hub={demo}")) == outline(committed)


PICTURES = """() => {
  const pictures = [...document.images];
  return [pictures.length, pictures.filter(picture => picture.naturalWidth > 0).length,
          document.documentElement.scrollWidth <= window.innerWidth];
}"""


@pytest.mark.long
@pytest.mark.slow
def test_each_is_whole_as_a_page_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    from nbconvert import HTMLExporter  # which takes seconds to import, as the browser does

    from tests.browser import open_page, start_browser

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
    with start_browser() as browser:
        for name in NAMES:
            notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
            drawn = sum("image/png" in output.get("data", {}) for output in outputs_of(notebook))
            page_file = tmp_path / f"{name}.html"
            page_file.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
            with open_page(browser, page_file.as_uri(), width=None) as page:
                assert page.evaluate(PICTURES) == [drawn, drawn, True]
            assert drawn >= 1
