"""Measures how long the website of a hub of 1,000 modules takes to render, and how fast its start page responds.

    python -m benchmarks.site [--modules N] [--runs N]

Makes up a hub and runs `python -m pipeline.site` as a command, including the start of Python: once without any page,
then after an edit of a card (median of the runs). Then opens the start page in Chromium and measures a keystroke in the
search box and a sort, from the input to the next frame. Fails above 20 s, 1 s and, for a keystroke, 100 ms.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks import synthetic_hub
from pipeline.facts.report import load_report
from tests.browser import find_browser

ROOT = Path(__file__).parents[1]
ALL_PAGES, ONE_CARD, RESPONSE = 20.0, 1.0, 0.1  # seconds at most

# Measures until the frame after the input is painted: a task queued in an animation frame runs after that frame.
MEASURE = """
([selector, value]) => new Promise((resolve) => {
  const element = document.querySelector(selector);
  const started = performance.now();
  if (value === null) {
    element.click();
  } else {
    element.value = value;
    element.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }
  requestAnimationFrame(() => { setTimeout(() => resolve((performance.now() - started) / 1000)); });
})
"""


def render(hub: Path) -> float:
    """Renders the website and returns the seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipeline.site", hub], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def render_after_edit(hub: Path, run: int) -> float:
    """Edits a card, another in each run, renders the website again and returns the seconds."""
    card = sorted(hub.glob("*/vit_*/1.md"))[run]
    card.write_text(card.read_text(encoding="utf-8") + f"\nEdited, {run}.\n", encoding="utf-8")
    return render(hub)


@dataclass(frozen=True)
class Responses:
    """Seconds until the table is painted: after a key that leaves few rows, one that restores all, and a sort."""

    few: float
    all: float
    sort: float


def measure_responses(page: Page, runs: int) -> Responses:
    """Returns the medians over several runs."""
    search = "#modelField-find"
    page.focus(search)  # which loads the list of all models
    page.wait_for_function("self.hubModels")
    inputs = ([search, "vit_00"], [search, ""], ["th[data-key=top1] button", None])
    times = [[float(page.evaluate(MEASURE, each)) for each in inputs] for _ in range(runs)]
    return Responses(*(statistics.median(column) for column in zip(*times, strict=True)))


def measure_start_page(browser_path: str, start: Path, runs: int) -> Responses:
    """Measures the start page in Chromium and prints the figures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(start.as_uri())
        load = float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        responses = measure_responses(page, runs)
        browser.close()
    few, all_, sort = (1000 * seconds for seconds in (responses.few, responses.all, responses.sort))
    print(
        f"start page, {start.stat().st_size / 1e3:,.0f} kB: loaded in {load:.0f} ms; a key {few:.0f} ms (to few rows),"
        f" {all_:.0f} ms (back to all); a sort {sort:.0f} ms"
    )
    return responses


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__)
    parser.add_argument("--modules", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    base = load_report(ROOT / "tests/data/report.json")
    with tempfile.TemporaryDirectory() as name:
        hub = Path(name, "hub")
        synthetic_hub.write(hub, args.modules, base)
        all_pages = render(hub)
        one_card = statistics.median(render_after_edit(hub, run) for run in range(args.runs))
        print(f"{args.modules:,} modules: {all_pages:.1f} s for all pages; {one_card:.2f} s after an edit of one card")
        figures = [("all pages", all_pages, ALL_PAGES), ("one card", one_card, ONE_CARD)]
        if browser := find_browser():
            responses = measure_start_page(browser, hub / "index.html", args.runs)
            figures += [("a key to few rows", responses.few, RESPONSE), ("a key to all rows", responses.all, RESPONSE)]
        else:
            print("the start page was NOT measured: Chromium is not on the PATH; run make browser")
    for what, seconds, limit in figures:
        if seconds > limit:
            raise SystemExit(f"{what}: {seconds:.2f} s, expected at most {limit} s")


if __name__ == "__main__":
    main()
