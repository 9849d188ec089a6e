"""Measures what publishers and readers do with a hub of 10,000 modules, in seconds and memory.

    python -m benchmarks.large_hub [--modules N] [--runs N] [--no-audit] [--folder FOLDER]

Makes up the hub (benchmarks/published_hub.py) and its website; then, each as a command and including the start of
Python (medians of the runs):

- publish one member, with plots and pictures;
- render the website after an edit of one card;
- serve the hub: requests for 500 cards, pages and tarballs, all shards of the index and the lists;
- check the hub, once.

Seconds are those of a clock; those of the processors say more where other work keeps them busy. Memory is the largest
of one process. Fails above the limits. FOLDER keeps the hub: where it has one already, that is used.
"""

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import published_hub
from benchmarks.serving import serving
from benchmarks.synthetic_hub import ROOT
from pipeline.base import yaml_sections
from pipeline.base.heads import Head
from pipeline.facts.collection import Module, collection_of
from pipeline.facts.report import Report, load_report
from pipeline.package import package
from pipeline.saved_model.files import folder_digest
from pipeline.trust import builder
from pipeline.trust.builder import write_build
from tests.card_facts import checked_files, records
from tests.hubs import write_plots
from tests.reports import with_checks, write_report
from tests.test_audit import write_saved_model
from tests.trust.builds import build_of

DEMO = ROOT / "model_cards/demo"
REQUESTED = 500  # modules whose files are requested


@dataclass(frozen=True)
class Limits:
    """The largest figures: seconds, and memory in bytes; None for none."""

    seconds: float | None
    memory: float | None


# Runs a module as `python -m` does, and writes its largest memory: what wait4() says of that has this process's, too.
_MEASURED = """
import atexit, pathlib, runpy, sys
def write_peak(out=sys.argv[1]):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    pathlib.Path(out).write_text(str(1024 * peak))
atexit.register(write_peak)
sys.path.insert(0, "")
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

PUBLISH, EDIT = Limits(2.0, 150e6), Limits(1.0, 150e6)
SERVE, AUDIT = Limits(None, 150e6), Limits(None, 150e6)


@dataclass(frozen=True)
class Figure:
    """What a command took: seconds of a clock and of the processors, and memory in bytes."""

    seconds: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.cpu:.2f} CPU s, {self.memory / 1e6:,.0f} MB"


def run(*arguments: object) -> Figure:
    """Runs a command of the pipeline.

    Raises:
        SystemExit: when it fails; with its output.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as output, tempfile.NamedTemporaryFile("r") as peak:
        started = time.perf_counter()
        command = [sys.executable, "-c", _MEASURED, peak.name, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command[4:])}: {output.read()}")
        return Figure(seconds, usage.ru_utime + usage.ru_stime, float(peak.read()))


def median(figures: list[Figure]) -> Figure:
    """Returns the medians of each figure."""
    values = zip(*((figure.seconds, figure.cpu, figure.memory) for figure in figures), strict=True)
    return Figure(*map(statistics.median, values))


def write_outputs(folder: Path, name: str, base: Report) -> Path:
    """Writes what the earlier stages make of a member, with SavedModels of a few bytes; returns its YAML file.

    Args:
        folder: of all members; the outputs of this one go to <folder>/<name>.
        name: of the member.
        base: its report.
    """
    out, yaml = folder / name, folder / f"demo/{name}.yaml"
    shutil.copytree(DEMO, yaml.parent, dirs_exist_ok=True)
    shutil.copy(DEMO / "vit_demo.yaml", yaml)
    report = base
    for head in Head:
        checks = report.modules[head]
        assert checks.fine_tuning
        write_saved_model(out / head, head.output, checks.output_width, checks.fine_tuning.variables)
        with (out / head / "saved_model.pb").open("ab") as stream:
            stream.write(published_hub.unknown_field(f"{name} {head}"))
        package(out / head, out / f"{head}.tar.gz")
        report = with_checks(report, head, content_sha256=folder_digest(out / head))
    write_report(out / "report.json", report)
    write_build(out, replace(build_of(out), member=name, lock_sha256=builder.lock_digest()))
    write_plots(out, report)
    collection, hub_url = collection_of(yaml, None)
    module = yaml_sections.load(yaml, "module", Module)
    for path, text in checked_files(records(name, module, collection, hub_url, report, {"name": name}), out).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return yaml


def measure_publishing(hub: Path, folder: Path, base: Report, runs: int) -> Figure:
    """Publishes a new member in each run."""
    figures = []
    for number in range(-1, runs):  # the first one finds no pictures in the hub, which changes all lists
        name = f"vit_new_{time.time_ns()}_{number + 1}"
        yaml = write_outputs(folder, name, base)
        figures.append(run("pipeline.publish", "member", yaml, folder / name, hub, folder / f"{name}.json"))
    return median(figures[1:])


def measure_edits(hub: Path, runs: int) -> Figure:
    """Edits a card in each run, and renders the website."""
    run("pipeline.site", hub)
    figures = []
    for card in sorted(hub.glob("*/vit_0*_fe/1.md"))[:runs]:
        card.write_text(card.read_text(encoding="utf-8") + "\nEdited.\n", encoding="utf-8")
        figures.append(run("pipeline.site", hub))
        card.write_text(card.read_text(encoding="utf-8").removesuffix("\nEdited.\n"), encoding="utf-8")
    run("pipeline.site", hub)
    return median(figures)


def requests(hub: Path) -> Iterator[str]:
    """Yields the addresses of many files."""
    for tarball in sorted(hub.glob("*/vit_0*/1.tar.gz"))[:REQUESTED]:
        name = f"/{tarball.relative_to(hub).as_posix().removesuffix('.tar.gz')}"
        yield from (f"{name}.html", f"{name}.md", f"{name}.tar.gz", name)
    yield from (f"/index/{path.name}" for path in (hub / "index").iterdir())
    yield from ("/", "/site/models.js", "/sitemap.xml", "/feed.xml", "/healthz")


def measure_serving(hub: Path, log: Path) -> tuple[Figure, float]:
    """Requests many files; returns what the server took, and its memory in bytes when it had started."""
    with serving(["pipeline.serve", str(hub), "--port", "0"], r"at http://127\.0\.0\.1:(\d+)/", log) as (port, process):
        before = _peak(process)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        started = time.perf_counter()
        for path in requests(hub):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise SystemExit(f"{path}: expected 200, got {response.status}")
        ticks = sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))
        figure = Figure(time.perf_counter() - started, ticks / os.sysconf("SC_CLK_TCK"), _peak(process))
    return figure, before


def _peak(process: int) -> float:
    """Returns the largest memory of a process so far, in bytes (proc(5), VmHWM)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def describe_sizes(hub: Path) -> str:
    """Returns the sizes of what grows with the hub."""
    index = sum(path.stat().st_size for path in (hub / "index").iterdir())
    names = ("index.html", "site/models.js", "sitemap.xml", "site/memory.json", "site/pages.json")
    files = {name: (hub / name).stat().st_size for name in names}
    publishers = {path.name: path.stat().st_size for path in hub.glob("*/*.md")}
    sizes = {"index/": index} | files | publishers
    return ", ".join(f"{name} {size / 1e3:,.0f} kB" for name, size in sizes.items())


def check(what: str, figure: Figure, limits: Limits) -> str | None:
    """Prints a figure; returns what is wrong with it."""
    allowed = [f"{limits.seconds:g} s"] if limits.seconds else []
    allowed += [f"{limits.memory / 1e6:,.0f} MB"] if limits.memory else []
    print(f"{what}: {figure} (limit {', '.join(allowed)})", flush=True)
    if limits.seconds and figure.seconds > limits.seconds:
        return f"{what}: {figure.seconds:.2f} s, expected at most {limits.seconds:g} s"
    if limits.memory and figure.memory > limits.memory:
        return f"{what}: {figure.memory / 1e6:,.0f} MB, expected at most {limits.memory / 1e6:,.0f} MB"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_hub",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--modules", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-audit", action="store_true", help="leave out check-hub, which takes minutes")
    parser.add_argument("--folder", type=Path, help="keeps the hub, in <folder>/hub")
    args = parser.parse_args()
    base = load_report(ROOT / "tests/data/report.json")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = (args.folder or work) / "hub"
        if not hub.exists():
            published_hub.write(hub, args.modules, base)
        print(f"website: {run('pipeline.site', hub)}; {describe_sizes(hub)}", flush=True)
        faults = [check("publish a member", measure_publishing(hub, work, base, args.runs), PUBLISH)]
        faults.append(check("render after an edit of a card", measure_edits(hub, args.runs), EDIT))
        served, before = measure_serving(hub, work / "log")
        faults.append(check(f"serve, {before / 1e6:,.0f} MB at the start", served, SERVE))
        if not args.no_audit:
            faults.append(check("check the hub", run("pipeline.audit", hub), AUDIT))
    for fault in filter(None, faults):
        raise SystemExit(fault)


if __name__ == "__main__":
    main()
