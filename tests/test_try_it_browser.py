"""The section Try it in a real browser: the module's numbers, every way to give a picture, and what fails."""

import base64
import gzip
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, Locator, Page, Route

from pipeline.hub import litert_js
from pipeline.model.preprocessing import prepare
from tests.browser import DESKTOP, PHONE, Scheme, find_violations, open_page, start_browser, wait_until
from tests.conftest import serving_folder
from tests.hubs import write_hub
from tests.server.harness import running
from tests.trial_models import Layer, make_layer, to_litert
from tests.trials import add_trial

pytestmark = pytest.mark.slow

HANDLE = "vit-publisher/vit_demo_classification/2"
LABELS = [f"class {number}" for number in range(10)]
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
# (height, width) of pictures, and the sides that they are resized to.
SHAPES = [(1, 1), (3, 5), (28, 28), (27, 29), (300, 224), (97, 641), (2, 3000), (3000, 2)]
SIZES = [1, 28, 224]

PREPARE = """
async ([script, png, size]) => {
  const { decode, prepare } = await import(script);
  const file = new Blob([Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const bytes = new Uint8Array(prepare(await decode(file), size).buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += 4096) {
    text += String.fromCharCode(...bytes.subarray(start, start + 4096));
  }
  return btoa(text);
}
"""
RANK = """
async ([script, logits, facts]) => {
  const { rank } = await import(script);
  return rank(Float32Array.from(logits, (value) => value ?? NaN), facts);
}
"""
# Gives the page a picture as if it were dropped there or pasted.
GIVE = """
([how, png]) => {
  const transfer = new DataTransfer();
  if (png) {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  } else {
    transfer.setData("text/plain", "words");
  }
  const event = how === "drop"
    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
  document.querySelector(".trial").dispatchEvent(event);
}
"""
# Lists what moved by itself after a time.
SHIFTS = """
(since) => new Promise((resolve) => {
  const moved = [];
  new PerformanceObserver((list) => moved.push(...list.getEntries())).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(
    moved.filter((entry) => entry.startTime > since && !entry.hadRecentInput)
      .flatMap((entry) => entry.sources.map(({ node }) => node?.className || node?.nodeName)),
  ), 100);
})
"""
COUNT = """
() => {
  const { data } = document.querySelector(".pad").getContext("2d").getImageData(0, 0, 28, 28);
  return Array.from({ length: 784 }, (_, place) => data[4 * place]).filter(Boolean).length;
}
"""
COLUMNS = """
() => {
  const { data } = document.querySelector(".pad").getContext("2d").getImageData(0, 0, 28, 28);
  const places = Array.from({ length: 784 }, (_, place) => place);
  return [...new Set(places.filter((place) => data[4 * place]).map((place) => place % 28))].sort((a, b) => a - b);
}
"""


def to_png(pixels: np.ndarray) -> bytes:
    """Encodes pixels, uint8 (height, width, 3 or 4)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    """Returns a picture of random pixels, uint8."""
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


PICTURE = noise(60, 47, 3)


@dataclass(frozen=True)
class Site:
    """A hub with something to try; `address` is that of our server, which sends a strict policy."""

    hub: Path
    layer: Layer
    address: str

    @property
    def page(self) -> str:
        return f"{self.address}/{HANDLE}.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_browser(*CAMERA) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    layer, hub = make_layer(28, len(LABELS)), write_hub(tmp_path_factory.mktemp("trial"))
    add_trial(hub, HANDLE, to_litert(layer, 28), LABELS, 28, examples={"Noise": to_png(PICTURE)})
    with running(hub) as here:
        yield Site(hub, layer, here.address)


def load(page: Page) -> None:
    """Clicks, and waits until the model is ready."""
    page.get_by_role("button", name="Load the model").click()
    page.get_by_text("The model is ready.").wait_for()


def state(page: Page) -> Locator:
    return page.locator(".trial .state")


def wait_for_problem(page: Page) -> str:
    """Returns the sentence that tells the visitor what is wrong."""
    page.locator(".state.problem").wait_for()
    return state(page).inner_text()


def choose(page: Page, content: bytes, name: str = "picture.png") -> None:
    page.locator(".trial input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def wait_for_classes(page: Page) -> dict[str, float]:
    """Waits for a result, and returns the probability of each class that is shown, most likely first."""
    page.locator(".trial .state", has_text="%").wait_for()
    rows = page.locator(".bars li").all()
    shares = [row.locator(".bar").evaluate("bar => parseFloat(bar.style.width) / 100") for row in rows]
    return dict(zip([row.locator(".label").inner_text() for row in rows], shares, strict=True))


def assert_classified(page: Page, site: Site, pixels: np.ndarray) -> None:
    """Asserts that the page shows what the model says of a picture."""
    expected = site.layer.probabilities(prepare(pixels, 28, "resize")[np.newaxis])[0]
    order = np.argsort(-expected)[:5]
    classes = wait_for_classes(page)
    assert list(classes) == [LABELS[index] for index in order]
    np.testing.assert_allclose(list(classes.values()), expected[order], rtol=0, atol=1e-4)
    assert state(page).inner_text().startswith(f"{LABELS[order[0]]}: {100 * expected[order[0]]:.1f} %, in ")


def test_pictures_are_prepared_as_the_module_prepares_them(browser: Browser, site: Site) -> None:
    """Bit for bit, from the same PNG files."""
    with open_page(browser, site.page) as page:
        for shape in SHAPES:
            pixels = noise(*shape, 3)
            png = base64.b64encode(to_png(pixels)).decode()
            for size in SIZES:
                answer = page.evaluate(PREPARE, [f"{site.address}/site/preprocessing.js", png, size])
                prepared = np.frombuffer(base64.b64decode(answer), np.float32).reshape(size, size, 3)
                np.testing.assert_array_equal(prepared, prepare(pixels, size, "resize"), err_msg=f"{shape} to {size}")


def test_logits_become_probabilities_as_the_collection_says(browser: Browser, site: Site) -> None:
    logits, script = [-1000.0, 0.5, 1000.0, -2.0], f"{site.address}/site/try.js"
    expected = {"softmax": [1.0, 0.0, 0.0, 0.0], "sigmoid": [1.0, 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(2)), 0.0]}
    with open_page(browser, site.page) as page:
        for activation, probabilities in expected.items():
            facts = {"activation": activation, "labels": ["a", "b", "c", "d"]}
            classes = page.evaluate(RANK, [script, logits, facts])
            assert [each["label"] for each in classes[:2]] == (["c", "a"] if activation == "softmax" else ["c", "b"])
            np.testing.assert_allclose([each["probability"] for each in classes], probabilities, atol=1e-7)
        with pytest.raises(Error, match="The model's outputs are not numbers: this picture cannot be classified"):
            page.evaluate(RANK, [script, [None, 1.0, 2.0, 3.0], facts])


def test_transparent_parts_are_white(browser: Browser, site: Site) -> None:
    pixels = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    with open_page(browser, site.page) as page:
        png = base64.b64encode(to_png(pixels)).decode()
        answer = page.evaluate(PREPARE, [f"{site.address}/site/preprocessing.js", png, 28])
        assert set(np.frombuffer(base64.b64decode(answer), np.float32)) == {1.0}


def test_nothing_is_loaded_before_the_click_and_nothing_moves_after_it(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        names = "performance.getEntriesByType('resource').map((entry) => entry.name.split('/').at(-1))"
        assert not {
            name for name in page.evaluate(names) if name.startswith(("try", "pre", "draw", "litert", "model", "0."))
        }
        page.wait_for_load_state("networkidle")
        clicked = page.evaluate("performance.now()")
        load(page)
        assert page.evaluate("document.activeElement.textContent") == "Choose a picture"
        choose(page, to_png(PICTURE))
        assert_classified(page, site, PICTURE)
        assert {"try.js", "preprocessing.js", "drawing_pad.js", "try.json", "0.png"} <= set(page.evaluate(names))
        assert page.evaluate(SHIFTS, clicked) == []


@pytest.mark.parametrize("is_unpacked", [False, True])
def test_a_static_host_is_enough(browser: Browser, site: Site, tmp_path: Path, is_unpacked: bool) -> None:
    """Under a path of its own; also one that says that the runtime is compressed, so that the browser unpacks it."""
    hub = shutil.copytree(site.hub, tmp_path / "hub")
    if is_unpacked:
        runtime = hub / litert_js.FILES[-1]
        runtime.write_bytes(gzip.decompress(runtime.read_bytes()))
    with serving_folder(tmp_path) as address, open_page(browser, f"{address}/hub/{HANDLE}.html") as page:
        load(page)
        choose(page, to_png(PICTURE))
        assert_classified(page, site, PICTURE)


def test_pictures_are_dropped_pasted_taken_from_examples_and_by_the_camera(browser: Browser, site: Site) -> None:
    other, png = noise(30, 30, 3), base64.b64encode(to_png(PICTURE)).decode()
    with open_page(browser, site.page) as page:
        load(page)
        ways: list[Callable[[], None]] = [
            lambda: page.evaluate(GIVE, ["drop", png]),
            lambda: page.evaluate(GIVE, ["paste", png]),
            lambda: page.get_by_role("button", name="Noise").click(),
        ]
        for give in ways:
            choose(page, to_png(other))
            page.get_by_role("application", name="What the model sees of picture.png").wait_for()
            page.locator(".trial .state", has_text="%").wait_for()
            page.evaluate("document.querySelector('.trial .state').textContent = ''")
            give()
            assert_classified(page, site, PICTURE)
        for how in ("drop", "paste"):
            page.evaluate(GIVE, [how, None])
            assert "is no file. Save the picture first" in wait_for_problem(page)
        page.get_by_role("button", name="Camera").click()
        page.get_by_role("button", name="Take the picture").click()
        page.get_by_role("application", name="What the model sees of the camera's picture").wait_for()
        assert not page.locator("video").is_visible()
        assert page.evaluate("document.querySelector('video').srcObject") is None
        wait_for_classes(page)


def test_a_refused_camera_is_explained(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        page.evaluate(
            "MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }; 0"
        )
        load(page)
        page.get_by_role("button", name="Camera").click()
        assert wait_for_problem(page).startswith("The camera was refused. Allow it for this page")


# Answers for the camera when the test says so; counts how many streams were opened, and how many go on.
SLOW_CAMERA = """
() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const allowed = new Promise((resolve) => (window.allow = resolve));
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async (wish) => {
    await allowed;
    window.streams.push(await open(wish));
    return window.streams.at(-1);
  };
}
"""
LIVE = "window.streams.map((stream) => stream.getTracks().some((track) => track.readyState === 'live'))"


def test_a_camera_that_comes_after_a_picture_is_stopped(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        load(page)
        page.evaluate(SLOW_CAMERA)
        camera = page.get_by_role("button", name="Camera")
        camera.click()
        assert camera.is_disabled()
        choose(page, to_png(PICTURE))
        assert_classified(page, site, PICTURE)
        page.evaluate("window.allow()")
        page.locator("button[data-do=camera]:enabled").wait_for()
        assert page.evaluate(LIVE) == [False]
        assert not page.locator("video").is_visible()
        camera.click()
        capture = page.get_by_role("button", name="Take the picture")
        capture.wait_for()
        assert page.evaluate(LIVE) == [False, True]
        assert page.evaluate("document.activeElement.textContent") == "Take the picture"
        page.evaluate("window.createImageBitmap = async () => { throw new Error('no frame') }; 0")
        capture.click()
        assert wait_for_problem(page) == "The camera gave no picture: no frame"


# Keeps the answers of the worker until the test lets them go.
SLOW_MODEL = """
() => {
  const answers = [];
  const add = Worker.prototype.addEventListener;
  Worker.prototype.addEventListener = function (kind, listener) {
    add.call(this, kind, kind !== "message" ? listener : (event) => {
      window.isHeld && event.data.value ? answers.push(() => listener(event)) : listener(event);
    });
  };
  window.answers = answers;
}
"""


def test_an_answer_that_comes_after_clear_is_not_shown(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        page.evaluate(SLOW_MODEL)
        load(page)
        page.evaluate("window.isHeld = true; 0")
        page.get_by_role("application", name="Drawing pad").press("Space")
        wait_until(page, "window.answers.length === 1")
        page.get_by_role("button", name="Clear").click()
        page.evaluate("window.isHeld = false; window.answers[0]()")
        assert state(page).inner_text() == "Cleared."
        assert page.locator(".bars .label").first.inner_text() == ""
        page.evaluate("window.isHeld = true; 0")
        page.get_by_role("application", name="Drawing pad").press("Space")
        wait_until(page, "window.answers.length === 2")
        choose(page, b"words", "notes.txt")  # the drawing stays, and the sentence is of the file
        sentence = wait_for_problem(page)
        page.evaluate("window.isHeld = false; window.answers[1]()")
        assert page.locator(".bars .label").first.inner_text() in LABELS
        assert wait_for_problem(page) == sentence
        choose(page, to_png(PICTURE))  # the model answers on
        assert_classified(page, site, PICTURE)


def test_an_example_that_is_missing_is_named(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page, logged="404") as page:
        load(page)
        page.context.route("**/examples/*", answer_with(None))
        page.get_by_role("button", name="Noise").click()
        assert wait_for_problem(page).startswith("The example could not be loaded: the host answered 404 for http")


def test_drawing_by_pointer_and_keyboard(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        load(page)
        pad = page.get_by_role("application", name="Drawing pad")
        box = pad.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        wait_for_classes(page)
        drawn = page.evaluate(COUNT)
        assert 28 < drawn < 80  # half the width, three pixels high
        page.get_by_role("button", name="Clear").click()
        assert page.evaluate(COUNT) == 0
        assert page.locator(".bars .label").first.inner_text() == ""
        pad.focus()
        for key in ("ArrowLeft", "Space", "Shift+ArrowUp", "Shift+ArrowUp"):
            page.keyboard.press(key)
        assert page.locator(".cursor").is_visible()
        assert 8 < page.evaluate(COUNT) < drawn
        wait_for_classes(page)
        choose(page, to_png(PICTURE))
        page.get_by_role("application", name="What the model sees of picture.png").wait_for()
        pad = page.get_by_role("application")
        pad.press("Space")  # a new drawing, not on top of the picture
        assert page.evaluate(COUNT) < 20


def test_steps_without_shift_draw_nothing(browser: Browser, site: Site) -> None:
    shifted = "Shift+ArrowRight"
    with open_page(browser, site.page) as page:
        load(page)
        page.get_by_role("application", name="Drawing pad").focus()
        for key in (shifted, *["ArrowRight"] * 4, shifted):
            page.keyboard.press(key)
        assert page.evaluate(COLUMNS) == [13, 14, 15, 16, 18, 19, 20, 21]
        choose(page, to_png(PICTURE))
        page.get_by_role("application", name="What the model sees of picture.png").wait_for()
        page.get_by_role("application").focus()
        for key in (*["ArrowRight"] * 4, "Space"):
            page.keyboard.press(key)
        assert page.evaluate(COLUMNS) == [22, 23, 24, 25]


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_axe_finds_nothing_in_the_open_panel(
    browser: Browser, site: Site, size: tuple[int, int], scheme: Scheme
) -> None:
    with open_page(browser, site.page, size, scheme) as page:
        load(page)
        page.get_by_role("button", name="Noise").click()
        wait_for_classes(page)
        assert find_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_page_on_a_disk_says_why_it_cannot(browser: Browser, site: Site) -> None:
    with open_page(browser, f"{site.hub.as_uri()}/{HANDLE}.html") as page:
        assert state(page).inner_text().startswith("This page was opened from a disk, where browsers let no page load")
        assert page.get_by_role("button", name="Load the model").is_disabled()


def test_a_file_that_is_no_picture_is_refused_and_the_next_one_is_not(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page) as page:
        load(page)
        choose(page, b"words", "notes.txt")
        expected = "“notes.txt” is not a picture that this browser can read. Choose a JPEG, PNG or WebP file."
        assert wait_for_problem(page) == expected
        choose(page, to_png(noise(1, 16385, 3)))
        page.get_by_text("This picture is 16385 pixels wide, and at most 16384 can be read.").wait_for()
        choose(page, to_png(PICTURE))
        assert_classified(page, site, PICTURE)
        assert page.locator(".state.problem").count() == 0


def answer_with(content: bytes | None) -> Callable[[Route], None]:
    """Returns what answers requests with some bytes, or that there is no such file."""

    def answer(route: Route) -> None:
        kind = "text/javascript" if route.request.url.endswith(".js") else None
        route.fulfill(status=404) if content is None else route.fulfill(body=content, content_type=kind)

    return answer


@dataclass(frozen=True)
class Trouble:
    """A file of the site that is missing (None) or has other bytes, and what the visitor reads then."""

    files: str
    content: bytes | None
    sentence: str


# Follows LiteRT.js: it has no memory for the model.
FULL = b"""
const make = ModuleFactory;
self.ModuleFactory = async (options) => Object.assign(await make(options), { _malloc: () => 0 });
"""
FULL_RUNTIME = litert_js.read_file(litert_js.FILES[2]) + FULL
TROUBLES = [
    Trouble("*_internal.js", FULL_RUNTIME, "The model does not fit into the memory that this browser gives a page."),
    Trouble("*.tflite", None, "The model was not found: the host answered 404 for http"),
    Trouble("*.tflite", b"cut short", "The model is damaged on this host"),
    Trouble("try.json", None, "The labels of the model could not be loaded: the host answered 404 for http"),
    Trouble("try.json", b"{}", "The labels of the model are damaged on this host"),
    Trouble("*.wasm.gz", None, "LiteRT.js was not found: the host answered 404 for http"),
    Trouble("*.wasm.gz", b"not wasm", "This browser did not accept the WebAssembly of LiteRT.js: "),
    Trouble("worker.js", None, "The script that runs the model could not be loaded; try again"),
]


def test_what_is_missing_or_damaged_is_named_and_can_be_tried_again(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page, logged="404") as page:
        for trouble in TROUBLES:
            page.context.route(f"**/{trouble.files}", answer_with(trouble.content))
            page.get_by_role("button", name="Load the model").click()
            assert wait_for_problem(page).startswith(trouble.sentence), trouble
            page.context.unroute(f"**/{trouble.files}")
        load(page)
        choose(page, to_png(PICTURE))
        assert_classified(page, site, PICTURE)


WATCHED_WORKER = """
const Own = Worker;
window.Worker = class extends Own {
  constructor(address) {
    super(address);
    this.addEventListener("error", () => { window.hasFailed = true; });
  }
};
0
"""


def test_a_worker_that_fails_before_it_is_asked_is_named(browser: Browser, site: Site) -> None:
    """The labels come late here; what failed until then must not be waited for."""
    held: list[Route] = []
    with open_page(browser, site.page, logged="404") as page:
        page.context.route("**/worker.js", answer_with(None))
        page.context.route("**/try.json", lambda route: held.append(route))
        page.evaluate(WATCHED_WORKER)
        page.get_by_role("button", name="Load the model").click()
        wait_until(page, "window.hasFailed === true")
        held[0].continue_()
        assert wait_for_problem(page) == "The script that runs the model could not be loaded; try again"


def test_a_missing_script_is_named(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page, logged="404") as page:
        page.context.route("**/try.js", answer_with(None))
        page.get_by_role("button", name="Load the model").click()
        assert wait_for_problem(page) == (
            "A script of this page could not be loaded: check the connection, then reload the page."
        )


def test_a_broken_connection_is_named(browser: Browser, site: Site) -> None:
    with open_page(browser, site.page, logged="ERR_FAILED") as page:
        page.context.route("**/*.tflite", lambda route: route.abort())
        page.get_by_role("button", name="Load the model").click()
        assert wait_for_problem(page) == "The model could not be loaded: check the connection, then try again."


def test_a_host_that_refuses_webassembly_is_named(browser: Browser, site: Site) -> None:
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'"

    def refuse(route: Route) -> None:
        route.fulfill(
            response=route.fetch(), headers={"Content-Security-Policy": policy, "Content-Type": "text/javascript"}
        )

    with open_page(browser, site.page, logged="Content Security Policy") as page:
        page.context.route("**/worker.js", refuse)
        page.get_by_role("button", name="Load the model").click()
        assert "the host's Content-Security-Policy lacks 'wasm-unsafe-eval'" in wait_for_problem(page)


@pytest.mark.parametrize(
    ("model", "labels", "expected"),
    [
        (b"TFL3 and what no model has", LABELS, "LiteRT.js cannot run this model: "),
        (None, LABELS[:9], "The model has 10 outputs, and 9 labels are published."),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(
    browser: Browser, site: Site, tmp_path: Path, model: bytes | None, labels: list[str], expected: str
) -> None:
    hub, handle = shutil.copytree(site.hub, tmp_path / "hub"), "vit-publisher/vit_demo_classification/1"
    content = model or (hub / HANDLE / "model_int8.tflite").read_bytes()
    add_trial(hub, handle, content, labels, 28)
    with serving_folder(hub) as address, open_page(browser, f"{address}/{handle}.html") as page:
        page.get_by_role("button", name="Load the model").click()
        if model is None:
            page.get_by_text("The model is ready.").wait_for()
            choose(page, to_png(PICTURE))
        assert wait_for_problem(page).startswith(expected)
