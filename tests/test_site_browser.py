"""The hub's website in a real browser: accessible, usable by keyboard and on a phone, and without script."""

import itertools
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from pipeline.accuracy.predictions import of_logits
from pipeline.contact_sheet import contact_sheet
from pipeline.hub import website
from pipeline.hub.entries import PublishedFile, Quoted
from pipeline.hub.folder import read_index
from pipeline.hub.index import Index
from pipeline.hub.withdrawing import deprecate, yank
from pipeline.images.labels import Label
from pipeline.withdraw import change_version
from tests.browser import (
    DESKTOP,
    PHONE,
    SMALL_PHONE,
    TABLET,
    WIDTHS,
    Scheme,
    Width,
    find_violations,
    open_page,
    start_browser,
    wait_until,
)
from tests.conftest import serving_folder
from tests.format_outputs import FORMATS
from tests.hub.payloads import FIND_ACTIVE, HTML, PAYLOADS, TEXTS
from tests.hubs import write_hub
from tests.server.harness import running
from tests.trials import add_formats

pytestmark = pytest.mark.slow

START = "index.html"
MODULE = "vit-publisher/vit_demo_classification/1.html"
PAGES = [START, MODULE, "vit-publisher/collections/demo/1.html", "sayakpaul/sayakpaul.html"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
ROWS = "table.modules tbody tr:visible"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that tests must not change."""
    return write_hub(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def address(hub: Path) -> Iterator[str]:
    """The address of the hub, under a path of its own as on many static hosts."""
    with serving_folder(hub.parent) as address:
        yield f"{address}/hub"


def titles(page: Page) -> list[str]:
    """Returns the names of the modules in the table, each with the title of its model first."""
    return page.locator(f"{ROWS} th a").all_inner_texts()


def models(page: Page) -> list[str]:
    """Returns the titles of the models in the table, one for each of their modules."""
    return [re.sub(r" (classifier|feature extractor)(, version \d+)?( draft)?$", "", title) for title in titles(page)]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser: Browser, address: str, name: str) -> None:
    with open_page(browser, f"{address}/{name}") as page:
        for scheme, (width, height) in itertools.product(SCHEMES, (DESKTOP, PHONE)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            assert find_violations(page) == [], (scheme, width)


def test_banners_of_withdrawn_versions_are_accessible(browser: Browser, hub: Path, tmp_path: Path) -> None:
    copied, module = shutil.copytree(hub, tmp_path / "hub"), "vit-publisher/vit_demo_classification"
    change_version(copied, f"{module}/1", deprecate(f"{module}/2", "2026-11-29"))
    change_version(copied, f"{module}/2", yank("wrong labels", "2026-11-29"))
    pages = ("vit_demo_classification/1.html", "vit_demo_classification/2.html", "collections/demo/1.html")
    with serving_folder(tmp_path) as address:
        for name in pages:
            with open_page(browser, f"{address}/hub/vit-publisher/{name}", PHONE) as page:
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    assert find_violations(page) == [], (name, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
                assert page.locator(".notice.warning, .card .mark.yanked").first.is_visible()


def test_the_table_of_formats_is_accessible_and_scrolls_on_a_phone(browser: Browser, hub: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(hub, tmp_path / "hub")
    name = add_formats(copied, MODULE.removesuffix(".html"), list(FORMATS)).relative_to(tmp_path)
    with serving_folder(tmp_path) as address, open_page(browser, f"{address}/{name}") as page:
        table = page.locator("div.scroll:has(table.formats)")
        page.evaluate("document.querySelectorAll('.card > :not(#the-formats, .scroll)').forEach(e => e.remove())")
        for size in (DESKTOP, TABLET, SMALL_PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], size
            hidden = table.evaluate("element => element.scrollWidth - element.clientWidth")
            assert (hidden > 0) == (size == SMALL_PHONE), size
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert find_violations(page) == [], scheme


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_and_their_tables_fit_any_window_with_wide_and_narrow_letters(
    browser: Browser, address: str, name: str, width: Width
) -> None:
    with open_page(browser, f"{address}/{name}", width=width) as page:
        tables = page.locator("div.scroll:has(table)")
        assert tables.count() == (4 if name == MODULE else 1)
        for size in (DESKTOP, TABLET, PHONE, SMALL_PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], size
            for table in tables.all() if "collections" not in name else ():  # seven columns scroll in their box
                assert table.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, size


def test_the_tests_lay_pages_out_in_their_own_fonts(browser: Browser, address: str, hub: Path) -> None:
    """Otherwise the test above would be one of this machine's fonts."""
    measure = (
        "e => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect().width }"
    )
    for place in (address, hub.as_uri()):
        lengths = {}
        for width in WIDTHS:
            with open_page(browser, f"{place}/{MODULE}", width=width) as page:
                page.evaluate("document.fonts.ready")
                texts = page.locator(".facts h2, pre").all()[:2]  # one in bold letters and one in those of code
                lengths[width] = [text.evaluate(measure) for text in texts]
        for wide, narrow in zip(lengths["wide"], lengths["narrow"], strict=True):
            # 1.47 times as wide; some browsers round the width of each letter to whole pixels.
            assert 1.25 < wide / narrow < 1.7


def test_the_text_of_plots_can_be_read_on_a_phone(browser: Browser, address: str) -> None:
    """It is 12 of 760 pixels high."""
    with open_page(browser, f"{address}/{MODULE}", PHONE) as page:
        assert page.locator(".card img").first.evaluate("image => image.getBoundingClientRect().width") == 640


def test_axe_reports_violations(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        page.evaluate(
            "document.querySelector('label[for=find]').remove(); document.body.style.color = 'rgb(240, 240, 240)'"
        )
        lines = find_violations(page)
        assert any(line.startswith("critical label: #find") for line in lines), lines
        assert any(line.startswith("serious color-contrast: ") for line in lines), lines


def test_light_and_dark_differ(browser: Browser, address: str) -> None:
    shades = []
    for scheme in SCHEMES:
        with open_page(browser, f"{address}/{START}", scheme=scheme) as page:
            shades.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(251, 250, 247)", "rgb(21, 24, 26)"]


def test_search_narrows_the_table_and_can_be_linked_to(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        assert page.locator("#count").inner_text() == "4"
        page.get_by_label("Search").press_sequentially("s16 FE")
        assert titles(page) == ["ViT-S16 feature extractor draft"]
        assert page.locator("#count").inner_text() == "1 of 4"
        page.reload()
        assert titles(page) == ["ViT-S16 feature extractor draft"]
        assert page.get_by_label("Search").input_value() == "s16 FE"
        page.get_by_label("Search").fill("no such model")
        assert titles(page) == []
        assert page.get_by_text("No models match").is_visible()
        page.get_by_role("button", name="Clear").click()
        page.locator("#count").get_by_text("4", exact=True).wait_for()
        assert len(titles(page)) == 4


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("Task", "Image feature vector", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("Architecture", "Vision Transformer S/16", {"ViT-S16"}),
        ("Architecture", "Vision Transformer", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("Data set", "Fashion-MNIST", {"ViT-Mini4 on Fashion-MNIST"}),
        ("Min top-1 (%)", "80.5", {"ViT-Mini4 on Fashion-MNIST"}),
        ("Max parameters (M)", "22", {"ViT-Mini4 on Fashion-MNIST"}),
    ],
)
def test_filters(browser: Browser, address: str, label: str, value: str, expected: set[str]) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        field = page.get_by_label(label)
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
        assert set(models(page)) == expected
        faded = page.locator("circle.out title").all_text_contents()
        assert {text.split(":")[0] for text in faded}.isdisjoint(expected)
        assert len(faded) == 2 - len(expected)


def test_of_many_rows_the_first_are_shown(browser: Browser, hub: Path, tmp_path: Path) -> None:
    entry = read_index(hub).modules["sayakpaul/vit_s16_fe/1"]
    many = [replace(entry, handle=f"sayakpaul/m{number:03}/1", title=f"M{number:03}") for number in range(150)]
    many[149] = replace(many[149], parameters=10**9)
    website.build(tmp_path, Index({entry.handle: entry for entry in many}, {}, {}))
    with open_page(browser, f"{tmp_path.as_uri()}/{START}") as page:
        assert len(titles(page)) == 100
        assert page.locator("#count").inner_text() == "150"
        page.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
        assert "M149" not in models(page)
        page.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
        assert models(page)[0] == "M149"
        assert len(titles(page)) == 100
        page.get_by_label("Search").fill("m14")
        assert len(titles(page)) == 10
        assert not page.get_by_role("button", name="Show all").is_visible()
        page.get_by_label("Search").fill("")
        page.get_by_role("button", name="Show all 150").click()
        assert len(titles(page)) == 150


def test_columns_sort_by_keyboard(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        heading = page.get_by_role("columnheader", name="Top-1")
        heading.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert models(page) == ["ViT-Mini4 on Fashion-MNIST"] * 2 + ["ViT-S16"] * 2
        page.keyboard.press("Space")
        assert heading.get_attribute("aria-sort") == "ascending"
        assert models(page) == ["ViT-S16"] * 2 + ["ViT-Mini4 on Fashion-MNIST"] * 2
        other = page.get_by_role("columnheader", name="Module")
        other.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") is None
        assert models(page) == ["ViT-Mini4 on Fashion-MNIST"] * 2 + ["ViT-S16"] * 2


def test_a_change_of_the_address_changes_the_filters(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}#find=s16&task=Image+classification") as page:
        assert titles(page) == ["ViT-S16 classifier draft"]
        page.evaluate("location.hash = '#dataset=Fashion-MNIST'")
        page.locator("#count").get_by_text("2 of 4", exact=True).wait_for()
        assert models(page) == ["ViT-Mini4 on Fashion-MNIST"] * 2
        page.evaluate("location.hash = '#main'")
        page.get_by_label("Search").press_sequentially("fe")
        assert titles(page) == ["ViT-Mini4 on Fashion-MNIST feature extractor, version 2"]


def test_rows_without_a_value_stay_last(browser: Browser, hub: Path, tmp_path: Path) -> None:
    index, name = read_index(hub), "sayakpaul/vit_s16_fe/1"
    index.modules[name] = replace(index.modules[name], variant=None, parameters=None)
    website.build(tmp_path, index)
    with open_page(browser, f"{tmp_path.as_uri()}/{START}") as page:
        for name in ("Architecture", "Parameters"):
            for _ in range(2):
                page.get_by_role("columnheader", name=name).get_by_role("button").click()
                assert page.locator(f"{ROWS} .handle").last.inner_text() == "sayakpaul/vit_s16_fe/1"


def test_focus_is_visible_and_navigation_can_be_skipped(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{MODULE}") as page:
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.inner_text() == "Skip to the content"
        assert (focused.bounding_box() or {"x": -1})["x"] >= 0
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.locator("main :focus").count() == 1


def test_buttons_copy_handle_and_snippets(browser: Browser, address: str, hub: Path) -> None:
    with open_page(browser, f"{address}/{MODULE}") as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.clock.install(time=0)
        page.clock.pause_at(1000)
        for name, expected in (
            ("Copy: Handle", "vit-publisher/vit_demo_classification/1"),
            (
                "Copy: Code that loads it",
                'hub.load("http://localhost:8080/vit-publisher/vit_demo_classification/1.tar.gz")',
            ),
            ("Copy: Code, python", read_snippet(hub)),
        ):
            page.get_by_role("button", name=name).first.click()
            wait_until(page, "text => navigator.clipboard.readText().then((copied) => copied === text)", expected)
        assert page.get_by_role("button", name="Copied").count() == 3
        page.clock.run_for(2000)
        assert page.get_by_role("button", name="Copied").count() == 0


def read_snippet(hub: Path) -> str:
    """Returns the first snippet of a card, as it is written there."""
    card = (hub / MODULE).with_suffix(".md").read_text(encoding="utf-8")
    return card.split("```python\n")[1].split("\n```")[0]


def test_a_dot_leads_to_its_module(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        page.locator("circle", has_text="ViT-S16").click()
        page.wait_for_url("**/sayakpaul/vit_s16_classification/1.html")


def test_everything_is_there_without_script(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}", script=False) as page:
        assert len(titles(page)) == 4
        assert not page.locator("#filters").is_visible()
        assert page.get_by_role("button").count() == 0
        assert page.locator("figure svg").last.is_visible()
        page.get_by_role("link", name="ViT-S16").first.click()
        assert page.get_by_role("heading", level=1).inner_text() == "ViT-S16"
        assert page.get_by_role("heading", name="Files", exact=True).is_visible()
        page.locator("pre").last.wait_for()


def test_a_plot_opened_by_itself_from_our_server_has_its_colours(browser: Browser, hub: Path) -> None:
    name = "vit-publisher/vit_demo_classification/1/plots/accuracy.svg"
    with running(hub) as here, open_page(browser, f"{here.address}/{MODULE}") as page:
        page.goto(f"{here.address}/{name}")
        assert page.evaluate("getComputedStyle(document.querySelector('path')).stroke") == "rgb(102, 102, 102)"


def test_it_works_from_a_disk(browser: Browser, hub: Path) -> None:
    with open_page(browser, f"{hub.as_uri()}/{START}") as page:
        page.get_by_label("Search").fill("s16")
        assert len(titles(page)) == 2
        page.get_by_label("Search").fill("")
        page.get_by_role("link", name="ViT-Mini4 on Fashion-MNIST").first.click()
        assert page.get_by_role("heading", level=1).inner_text() == "ViT-Mini4 on Fashion-MNIST"
        assert page.locator("main img").first.evaluate("image => image.naturalWidth") > 0
        page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="demo").click()
        page.get_by_role("link", name="ViT-Mini4 on Fashion-MNIST").nth(1).click()
        assert page.url.endswith("/vit-publisher/vit_demo_fe/2.html")


def test_texts_of_strangers_run_nothing(browser: Browser, hub: Path, tmp_path: Path) -> None:
    """In every field of the index, in names of files, and in cards, of a hub on a disk, which sends no policy."""
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 70
    copied = shutil.copytree(hub, tmp_path / "hub")
    index = read_index(copied)
    for name, entry in index.modules.items():
        files = tuple(PublishedFile(f"{text}.txt", 1, text, text) for text in TEXTS)
        hostile = "".join(TEXTS)
        entry = replace(entry, title=hostile, variant=hostile, dataset=hostile, license=hostile, collection=hostile)
        index.modules[name] = replace(entry, files=(*entry.files, *files), quoted=Quoted(0.5, hostile))
    card = copied / "vit-publisher/vit_demo_classification/1.md"
    card.write_text("# Module x\n\n" + "\n\n".join(PAYLOADS).replace("\0", "\ufffd"), encoding="utf-8")
    website.build(copied, index)
    for name in (START, MODULE):
        with open_page(browser, f"{copied.as_uri()}/{name}") as page:
            page.locator("h1").first.wait_for()
            assert page.evaluate("window.hostile") is None
            assert page.evaluate(FIND_ACTIVE) == []
            assert HTML[0] in (page.locator("main").text_content() or "")


def test_names_and_labels_of_strangers_run_nothing_on_a_contact_sheet(browser: Browser, tmp_path: Path) -> None:
    names = [Label(str(number), text) for number, text in enumerate(TEXTS)]
    count = len(TEXTS)
    logits = np.eye(count, dtype=np.float32)[::-1]
    predictions = of_logits(logits, np.arange(count, dtype=np.int32), range(count), "softmax")
    pixels = np.zeros((8, 8, 3), np.uint8)
    page_text = contact_sheet("".join(TEXTS), predictions, names, lambda row: (TEXTS[row], pixels))
    (tmp_path / "page.html").write_text(page_text, encoding="utf-8", errors="replace")
    with open_page(browser, (tmp_path / "page.html").as_uri()) as page:
        assert page.locator("li").count() >= count - 1
        assert page.evaluate("window.hostile") is None
        assert page.evaluate(FIND_ACTIVE) == []
