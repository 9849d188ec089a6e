"""The page of a module in a real browser: code near the top, tabs, folded proofs, print."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import open_page, start_browser
from tests.conftest import serving_folder
from tests.hubs import write_hub

pytestmark = pytest.mark.slow

MODULE = "vit-publisher/vit_demo_classification/1.html"
SCREEN, PHONE = (1440, 900), (390, 844)  # pixels
SHOWN = ".tab:not([hidden])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    hub: Path = write_hub(tmp_path_factory.mktemp("module_page"))
    with serving_folder(hub) as base:
        yield f"{base}/{MODULE}"


def shown(page: Page) -> str:
    """Returns the heading of the tab that is shown, of which there is one."""
    return page.locator(SHOWN).get_by_role("heading", level=3).text_content() or ""


@pytest.mark.parametrize(("size", "screens"), [(SCREEN, 1.5), (PHONE, 3.0)])
def test_code_can_be_seen_near_the_top(browser: Browser, address: str, size: tuple[int, int], screens: float) -> None:
    with open_page(browser, address, size, width=None) as page:
        box = page.locator(f"{SHOWN} .code").first.bounding_box()
        assert box is not None
        first_lines = box["y"] + 60
        assert first_lines <= screens * size[1]


def test_code_fits_its_column(browser: Browser, address: str) -> None:
    with open_page(browser, address, (1280, 800), width=None) as page:
        for tab in page.get_by_role("tab").all():
            tab.click()
            for block in page.locator(f"{SHOWN} pre").all():
                wide, room = block.evaluate("element => [element.scrollWidth, element.clientWidth]")
                lines = (block.text_content() or "").split("\n")
                longest = max((line for line in lines if "http" not in line), key=len)
                assert wide <= room or len(longest) < max(map(len, lines)), longest  # addresses are as long as they are


def test_tabs_work_by_mouse_keyboard_and_link(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        names = page.get_by_role("tab").all_text_contents()
        assert names[0] == shown(page) == "TensorFlow Hub"
        assert page.locator(SHOWN).count() == 1
        page.get_by_role("tab", name="Serving").click()
        assert shown(page) == "Serving"
        page.keyboard.press("ArrowRight")
        assert shown(page) == names[names.index("Serving") + 1]
        page.keyboard.press("End")
        assert shown(page) == names[-1]
        page.keyboard.press("ArrowRight")
        assert shown(page) == names[0]
        page.evaluate("location.hash = 'image-files'")
        page.locator("#image-files").wait_for(state="attached")
        page.locator(SHOWN).filter(has=page.locator("#image-files")).wait_for()
        assert shown(page) == "Image files"
        assert page.get_by_role("tab", selected=True).text_content() == "Image files"
    with open_page(browser, f"{address}#serving") as page:
        assert shown(page) == "Serving"


def test_the_proofs_are_folded_and_a_link_opens_them(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        row = page.get_by_text("weights identical to the checkpoint")
        assert not row.is_visible()
        page.get_by_text("Verified against JAX: 12 checks passed.").click()
        assert row.is_visible()
    with open_page(browser, f"{address}#all-figures") as page:
        assert page.get_by_text("weights identical to the checkpoint").is_visible()


def test_classes_are_sorted_by_accuracy(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        page.get_by_text("From 81.00 %").click()
        table = page.locator("table.sortable")
        table.get_by_role("button", name="accuracy").click()
        first = table.locator("tbody tr").first
        assert (first.text_content() or "").split("\n")[1:2] == ["Shirt"]


def test_print_cuts_nothing(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        tabs = page.get_by_role("tab").all_text_contents()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.locator(".tab:visible").count() == len(tabs)
        assert page.get_by_text("weights identical to the checkpoint").is_visible()
        for block in page.locator("main pre:visible").all():
            wide, room = block.evaluate("element => [element.scrollWidth, element.clientWidth]")
            assert wide <= room


def test_without_script_everything_stands_one_after_another(browser: Browser, address: str) -> None:
    with open_page(browser, address, script=False) as page:
        assert page.locator(".tab:visible").count() > 4
        assert page.get_by_role("tab").count() == 0
        page.get_by_text("Verified against JAX").click()
        assert page.get_by_text("weights identical to the checkpoint").is_visible()


def test_an_address_that_is_no_text_stops_nothing(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}#100%") as page:
        page.get_by_text("Verified against JAX").click()
        assert page.get_by_role("button", name="Copy: Address").is_visible()
        assert shown(page) == "TensorFlow Hub"
