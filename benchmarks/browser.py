"""Measures how fast LiteRT files run in Chromium, as "Try it" on a module's page runs them.

    python -m benchmarks.browser FILE:SIDE[:LIMIT] ... [--runs N]

SIDE is that of the input in pixels, LIMIT the milliseconds that an image may take, for instance
`artifacts/hub/vit-publisher/vit_demo_classification/2/model_int8.tflite:28:50`. Loads each file through the website's
worker from our server, runs it on random pixels, and fails where the median is above the limit. The processor time
hardly depends on what else the machine does.
"""

import argparse
import math
import re
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from pipeline.base.files import content_digest, make_folder
from pipeline.hub import litert_js
from tests.browser import open_page, start_browser
from tests.server.harness import running

# Starts the worker, and makes `ask` wait for its answer to a message.
LOAD = """
async ([script, task]) => {
  const worker = new Worker(script);
  self.ask = (message) => new Promise((resolve, reject) => {
    worker.onerror = reject;
    worker.onmessage = ({ data }) => {
      if (!data.total) {
        data.problem ? reject(new Error(data.problem)) : resolve(data.value);
      }
    };
    worker.postMessage(message);
  });
  const started = performance.now();
  await self.ask({ id: 1, task: "load", ...task });
  return (performance.now() - started) / 1000;
}
"""
RUN = """
async ([side, runs]) => {
  const times = [];
  for (let run = 0; run < runs; run += 1) {
    const input = Float32Array.from({ length: side ** 2 * 3 }, () => 2 * Math.random() - 1);
    times.push((await self.ask({ id: 2, task: "run", input })).seconds);
  }
  return times;
}
"""


@dataclass(frozen=True)
class Subject:
    """A LiteRT file, the side of its input in pixels, and the seconds that an image may take."""

    path: Path
    side: int
    limit: float


def subject(text: str) -> Subject:
    """Reads FILE:SIDE[:LIMIT]."""
    match = re.fullmatch(r"(.+?):(\d+)(?::(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected FILE:SIDE or FILE:SIDE:LIMIT, got {text!r}")
    return Subject(Path(match[1]), int(match[2]), int(match[3]) / 1000 if match[3] else math.inf)


def write_site(folder: Path) -> None:
    """Writes the files of LiteRT.js, and a page to measure from."""
    make_folder(folder / litert_js.FOLDER)
    for path in litert_js.FILES:
        (folder / path).write_bytes(litert_js.read_file(path))
    (folder / "index.html").write_text("<!doctype html><title>Benchmark</title><link rel=icon href=data:,>")


def processor_seconds(page: Page) -> float:
    """Returns how long the processes of pages have computed."""
    browser = page.context.browser
    assert browser
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(process["cpuTime"]) for process in processes if process["type"] == "renderer")


def measure(page: Page, address: str, subject: Subject, runs: int) -> float:
    """Measures a file that lies at `address` and prints the figures; returns the median, seconds for an image."""
    content = subject.path.read_bytes()
    task = {
        "model": address,
        "size": len(content),
        "sha256": content_digest(content),
        "imageSize": subject.side,
    }
    loading = page.evaluate(LOAD, [f"/{litert_js.WORKER}", task])
    before = processor_seconds(page)
    times = page.evaluate(RUN, [subject.side, runs])
    processor = (processor_seconds(page) - before) / runs
    median = statistics.median(times)
    print(
        f"{subject.path.name}, {len(content) / 1e6:.1f} MB, {subject.side} pixels: loaded in {loading:.2f} s; an image"
        f" {1000 * median:.1f} ms (fastest {1000 * min(times):.1f} ms), processor time {1000 * processor:.1f} ms"
    )
    return median


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__)
    parser.add_argument("subjects", nargs="+", type=subject, metavar="FILE:SIDE[:LIMIT]")
    parser.add_argument("--runs", type=int, default=21)
    args = parser.parse_args()
    late = []
    with tempfile.TemporaryDirectory() as name, start_browser() as browser:
        write_site(Path(name))
        with running(Path(name)) as here:
            print(f"Chromium {browser.version}")
            for number, each in enumerate(args.subjects):
                shutil.copy(each.path, Path(name, f"{number}.tflite"))
                with open_page(browser, f"{here.address}/index.html", width=None) as page:
                    median = measure(page, f"{here.address}/{number}.tflite", each, args.runs)
                if median > each.limit:
                    late.append(f"{each.path}: {1000 * median:.0f} ms, expected at most {1000 * each.limit:.0f} ms")
    if late:
        raise SystemExit("\n".join(late))


if __name__ == "__main__":
    main()
