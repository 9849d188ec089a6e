"""Runs the notebooks of notebooks/ and writes them with their outputs; finds what a committed notebook must not have.

    python -m benchmarks.notebooks [NAME ...] [--hub FOLDER_OR_ADDRESS] [--out FOLDER] [--set NAME=VALUE ...]

`make notebooks` runs all of them on the published vit_demo. The source of notebooks/<name>.ipynb is
notebooks/<name>.py, in jupytext's percent format: edit that. The notebook holds the SHA-256 of the source that its
outputs come from.

--hub and --set change the first cell, the one with the tag "parameters", for this run alone: the notebook that is
written has the cell of its source.
"""

import argparse
import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.hub.folder import hub_folder

FOLDER = Path(__file__).parents[1] / "notebooks"
DIGEST = "source_sha256"  # a key of a notebook's metadata
LARGEST = 400_000  # bytes of a notebook; a reader of a diff must not wait for it
LONGEST = 900  # seconds of a cell
_REPAIR = "run make notebooks"
_PARAMETERS = "parameters"  # the tag that papermill, too, knows
_WARNING = re.compile(r"\b\w*Warning\b|\bWARNING\b|\bdeprecated\b")
# Of at least two parts: "/tmp/a", "C:\a", "file:/a"; not the "/" of fractions, addresses and HTML.
_PATH = re.compile(r"(?<![\w:/.<])/(?:[\w.-]+/)+[\w.-]*|\b[A-Za-z]:\\\w|\bfile:/")


def list_sources(folder: Path = FOLDER) -> list[Path]:
    """Returns the sources of all notebooks."""
    return sorted(folder.glob("*.py"))


def read_source(path: Path) -> NotebookNode:
    """Returns the notebook of a source, without outputs."""
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        DIGEST: hashlib.sha256(text.encode()).hexdigest(),
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.from_dict(notebook)


def _find_parameters(notebook: NotebookNode, name: str) -> NotebookNode:
    """Returns the cell with the tag "parameters"."""
    for cell in notebook.cells:
        if _PARAMETERS in cell.metadata.get("tags", ()):
            return cell
    raise Fault(f'{name}.py: no cell has tags=["{_PARAMETERS}"]; give it to the one that users edit')


def run(path: Path, parameters: Mapping[str, str]) -> NotebookNode:
    """Runs a source in its folder, with its first cell's variables set to `parameters`; returns it with its outputs.

    Raises:
        CellExecutionError: when a cell fails; the message has the cell and the traceback.
        Fault: for a parameter that the source does not have.
    """
    from nbclient import NotebookClient  # takes a second to import

    notebook = read_source(path)
    cell = _find_parameters(notebook, path.stem)
    source = cell.source
    for name, value in parameters.items():
        if not re.search(rf"^{re.escape(name)} = ", source, re.MULTILINE):
            raise Fault(f"--set {name}: {path.name} has no such variable in its first cell")
        cell.source += f"\n{name} = {value!r}"
    client = NotebookClient(notebook, timeout=LONGEST, startup_timeout=300, kernel_name="python3", record_timing=False)
    client.resources = {"metadata": {"path": str(path.parent)}}
    # TensorFlow's C++ logs what this machine has and lacks before any log level counts: to the terminal, not to a cell.
    client.extra_arguments = ["--IPKernelApp.capture_fd_output=False"]
    client.execute()
    cell.source = source
    notebook.metadata = read_source(path).metadata  # nbclient adds the version of Python
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    return notebook


def _merge_streams(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Returns outputs in which what was printed in several pieces is one: where it is cut differs from run to run."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def write(notebook: NotebookNode, path: Path) -> None:
    """Writes a notebook."""
    nbformat.validate(notebook)
    write_text(path, nbformat.writes(notebook) + "\n")


# What a committed notebook must not have ------------------------------------------------------------------------------
def find_faults(path: Path) -> list[str]:
    """Returns what is wrong with a notebook beside its source, a sentence each; runs nothing."""
    source = path.with_suffix(".py")
    if not path.exists():
        return [f"{path.name} is missing: {_REPAIR}"]
    if not source.exists():
        return [f"{path.name} has no source {source.name}: write it, or delete the notebook"]
    expected, notebook = read_source(source), nbformat.read(path, as_version=4)
    return [
        f"{path.name}: {fault}" for fault in (*_find_differences(notebook, expected), *_find_in_cells(notebook, path))
    ]


def _find_differences(notebook: NotebookNode, expected: NotebookNode) -> Iterator[str]:
    if notebook.metadata.get(DIGEST) != expected.metadata[DIGEST]:
        yield f"its source has changed since it ran: {_REPAIR}"
    elif [_content(cell) for cell in notebook.cells] != [_content(cell) for cell in expected.cells]:
        yield f"its cells are not those of its source, which is where to edit them: {_REPAIR}"


def _content(cell: NotebookNode) -> tuple[str, str]:
    return cell.cell_type, cell.source


def _find_in_cells(notebook: NotebookNode, path: Path) -> Iterator[str]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        yield f"its cells were not run from the first to the last: {_REPAIR}"
    if any("execution" in cell.metadata for cell in code):
        yield "it has the times at which its cells ran, which differ from run to run"
    if (size := path.stat().st_size) > LARGEST:
        yield f"it has {size:,} bytes (limit {LARGEST:,}): print less, or draw with a smaller dpi"
    for cell in code:
        for output in cell.outputs:
            for fault in _find_in_output(output):
                yield f"the output of cell {cell.execution_count} {fault}"


def _find_in_output(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "error":
        yield f"is an error: {output.ename}: {output.evalue}"
        return
    for text in read_texts(output):
        if match := _WARNING.search(text):
            line = next(line for line in text.splitlines() if match[0] in line)
            yield f"has a warning: {line.strip()}"
        if match := _PATH.search(text):
            yield f"has a path of one machine: {match[0]}"
    if output.output_type == "stream" and output.name == "stderr":
        yield f"was written to stderr, where warnings go: {output.text.strip().splitlines()[0]}"


def read_texts(output: NotebookNode) -> list[str]:
    """Returns the texts of an output, without its pictures."""
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    return [text for kind, text in data.items() if isinstance(text, str) and not kind.startswith("image/png")]


# The command ----------------------------------------------------------------------------------------------------------
def _read_setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise Fault(f"--set {text}: expected NAME=VALUE")
    return name, value


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notebooks", description="Runs the notebooks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a notebook, such as classification (default: all)")
    parser.add_argument("--hub", help="the hub to load from (default: the one that the notebooks name)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write to (default: notebooks)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the first cell")
    args = parser.parse_args(command_line())
    names = [path.stem for path in list_sources()]
    if unknown := [name for name in args.names if name not in names]:
        raise Fault(f"{unknown[0]}: no such notebook; expected {', '.join(names)}")
    for name in args.names or names:
        started, path = time.monotonic(), FOLDER / f"{name}.py"
        parameters = dict(map(_read_setting, args.set))
        if args.hub and "\nHUB = " in path.read_text(encoding="utf-8"):
            # As seen from the folder in which the notebook runs.
            is_address = args.hub.startswith(("http://", "https://"))
            parameters["HUB"] = args.hub if is_address else str(hub_folder(args.hub).resolve())
        write(run(path, parameters), args.out / f"{name}.ipynb")
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(guarded("notebooks", main))
