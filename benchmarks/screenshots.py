"""Takes the pictures of the documentation: the start page and a module's page, of a hub with the demo and the seven.

    python -m benchmarks.screenshots DEMO [FOLDER]

writes start-page.png and module-page.png (into docs by default). DEMO is a hub that `make publish MODEL=vit_demo` has
filled: its page is shown, and its pictures of example predictions. On the start page the demo's figures are those of
tests/data/report.json, and the modules of the seven are made up: their numbers of parameters are true, and their sizes
follow from those. The fonts are this machine's; Liberation Sans gives pages as most readers see them.
"""

import argparse
import dataclasses
import shutil
import tempfile
from pathlib import Path

from pipeline.accuracy.section import Evaluation
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.facts.collection import Module
from pipeline.facts.report import Report
from pipeline.hub import website
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.folder import read_index, write_index
from pipeline.model.facts import describe_model
from pipeline.model.section import Model
from pipeline.model.vit.variants import variant
from tests.browser import open_page, start_browser
from tests.hubs import publish
from tests.model.parameter_counts import PARAMETERS
from tests.reports import REPORT, not_measured, with_checks, with_model

ROOT = Path(__file__).parents[1]
SIZE = (1280, 1000)  # pixels
HANDLE = "vit-publisher/vit_demo_classification/2"
EXAMPLES = f"{HANDLE}/examples"
PACKED = 0.93  # of the bytes of float32 weights, measured on random ones


def made_up_report(member: Member) -> Report:
    """Returns a report of one of the seven, with its variant, numbers of parameters and quoted accuracy."""
    model = member.section("model", Model)
    report = with_model(REPORT, **describe_model(model), operations=None)
    report = not_measured(report, reported=member.section("evaluation", Evaluation).reported)
    classifier = PARAMETERS[model.variant]
    head = (variant(model.variant).width + 1) * model.classes
    for name, parameters in ((Head.CLASSIFICATION, classifier), (Head.FE, classifier - head)):
        weights = dataclasses.replace(report.modules[name].weights, parameters=parameters)
        report = with_checks(report, name, weights=weights, bytes=4 * parameters)
    return report


def with_size(entry: ModuleEntry) -> ModuleEntry:
    """Returns the entry with the size that its tarball would have."""
    size = int(PACKED * (entry.unpacked or 0) if entry.publisher == "sayakpaul" else 1_219_831)
    tarball, *others = entry.files
    return dataclasses.replace(entry, files=(dataclasses.replace(tarball, size=size), *others))


def write_hub(folder: Path, demo: Path) -> Path:
    """Publishes the demo, with the pictures of the hub `demo`, and the seven with made-up bytes; returns the hub."""
    hub = folder / "hub"
    members = [ROOT / "model_cards/demo/vit_demo.yaml", *sorted((ROOT / "model_cards/vit").glob("vit_*.yaml"))]
    for path in members:
        member = Member(path)
        report = REPORT if path.stem == "vit_demo" else made_up_report(member)
        publish(hub, folder / path.stem, path, member.section("module", Module), report)
    index = read_index(hub)
    index = index.with_modules({name: with_size(entry) for name, entry in index.modules.items()})
    write_index(hub, index)
    website.build(hub, index)
    shutil.copytree(demo / EXAMPLES, hub / EXAMPLES, dirs_exist_ok=True)
    return hub


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("demo", type=Path, help="a hub with vit_demo")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs")
    args = parser.parse_args()
    folder, demo = args.folder, args.demo.resolve()
    with tempfile.TemporaryDirectory() as name, start_browser() as browser:
        hub = write_hub(Path(name), demo)
        with open_page(browser, f"{hub.as_uri()}/index.html", SIZE, width=None) as page:
            page.screenshot(path=folder / "start-page.png")
        module = f"{demo.as_uri()}/{HANDLE}.html"
        with open_page(browser, module, SIZE, "dark", width=None) as page:
            page.screenshot(path=folder / "module-page.png")


if __name__ == "__main__":
    main()
