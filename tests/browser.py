"""Chromium for the tests of the website, driven by Playwright without network access.

Pages are laid out in the fonts of tests/data/fonts, not in those of the machine, so that they look the same everywhere.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, sync_playwright

from pipeline.base.templates import TEMPLATES
from tests.conftest import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
Scheme = Literal["light", "dark"]
Width = Literal["wide", "narrow"]
DESKTOP, TABLET, PHONE, SMALL_PHONE = (1280, 800), (800, 1000), (360, 740), (320, 568)  # pixels
FONTS = ROOT / "tests/data/fonts"
LONGEST = 30  # seconds to wait
# The size in percent at which letters of DejaVu Sans, which are wide, are wider than those of any usual font, or as
# narrow as those of a condensed one. Lines are as high as ever, since the style sheet sets their height.
WIDTHS: dict[Width, int] = {"wide": 110, "narrow": 75}
FACES = """
@font-face {{ font-family: "Text"; src: url("tests/sans.woff2"); size-adjust: {width}% }}
@font-face {{ font-family: "Text"; src: url("tests/sans-bold.woff2"); size-adjust: {width}%; font-weight: bold }}
@font-face {{ font-family: "Code"; src: url("tests/mono.woff2"); size-adjust: {width}% }}
:root {{ --mono: "Code" }}
body {{ font-family: "Text" }}
"""


def find_browser(own: str | None = None) -> str | None:
    """Returns the path of an installed Chromium or Chrome, or else of Playwright's `own` if it is there, or None."""
    installed = next((path for name in NAMES if (path := shutil.which(name))), None)
    return installed or (own if own and Path(own).exists() else None)


@contextmanager
def start_browser(*arguments: str) -> Iterator[Browser]:
    """Starts the installed browser with some arguments; skips the test without one."""
    with sync_playwright() as playwright:
        path = find_browser(playwright.chromium.executable_path)
        if path is None:
            pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path; run make browser")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


def wait_until(page: Page, condition: str, argument: str | None = None) -> None:
    """Waits until JavaScript is true in a page: an expression, or a function of the argument.

    Playwright's wait_for_function evaluates its text in the page after the first time, which the Content Security
    Policy of our pages forbids; and timers of a page may be paused.
    """
    end = time.monotonic() + LONGEST
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, f"not true after {LONGEST} s: {condition}"


def bring_fonts(context: BrowserContext, width: Width) -> None:
    """Lays out the pages of a context in the tests' fonts, by rules after those of the website's style sheet."""
    rules = (TEMPLATES / "site/style.css").read_text(encoding="utf-8") + FACES.format(width=WIDTHS[width])
    context.route("**/site/style.css", lambda route: route.fulfill(body=rules, content_type="text/css"))

    def send_font(route: Route) -> None:
        route.fulfill(path=FONTS / route.request.url.rsplit("/", 1)[1], content_type="font/woff2")

    context.route("**/site/tests/*.woff2", send_font)


@contextmanager
def open_page(
    browser: Browser,
    address: str,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    script: bool = True,
    width: Width | None = "wide",
    logged: str = "",
) -> Iterator[Page]:
    """Opens a page; at the end asserts that it sent no request to another host and logged nothing else to the console.

    Args:
        browser: from start_browser().
        address: the URL of the page.
        size: the window's width and height in pixels.
        scheme: "light" or "dark".
        script: whether JavaScript is enabled.
        width: of the letters; None for the fonts of this machine.
        logged: part of each message that the console may have, such as of an answer with an error.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=script,
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",  # otherwise colours are measured during transitions
    )
    if width:
        bring_fonts(context, width)
    host = address.split("/")[2]
    elsewhere: list[str] = []
    messages: list[str] = []

    def record_request(request: Request) -> None:
        if request.url.split("/")[2] != host:
            elsewhere.append(request.url)

    context.on("request", record_request)
    page = context.new_page()
    page.set_default_timeout(1000 * LONGEST)
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(address)
    yield page
    assert elsewhere == []
    assert [message for message in messages if not logged or logged not in message] == []
    context.close()


def find_violations(page: Page) -> list[str]:
    """Returns the violations that axe-core reports for a page, a line each: impact, rule, and the elements."""
    page.evaluate(AXE_SCRIPT)
    violations: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{violation['impact']} {violation['id']}: "
        + " ".join(target for node in violation["nodes"] for target in node["target"])
        for violation in violations
    ]
