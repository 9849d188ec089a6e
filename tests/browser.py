"""Chromium for the tests of the website, driven by Playwright without network access."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
Scheme = Literal["light", "dark"]
DESKTOP, PHONE = (1280, 800), (360, 740)  # pixels


def find_browser() -> str | None:
    """Returns the path of an installed Chromium or Chrome, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Starts the installed browser; skips the test without one."""
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path; run make browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser, address: str, size: tuple[int, int] = DESKTOP, scheme: Scheme = "light", script: bool = True
) -> Iterator[Page]:
    """Opens a page; at the end asserts that it sent no request to another host and logged nothing to the console.

    Args:
        browser: from start_browser().
        address: the URL of the page.
        size: the window's width and height in pixels.
        scheme: "light" or "dark".
        script: whether JavaScript is enabled.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=script,
        reduced_motion="reduce",  # otherwise colours are measured during transitions
    )
    host = address.split("/")[2]
    elsewhere: list[str] = []
    messages: list[str] = []

    def record_request(request: Request) -> None:
        if request.url.split("/")[2] != host:
            elsewhere.append(request.url)

    context.on("request", record_request)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(address)
    yield page
    assert elsewhere == []
    assert messages == []
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
