"""The hub's website in a real browser: accessible, usable by keyboard and on a phone, and without script."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.accuracy.predictions import of_logits
from pipeline.base.verification import Verification
from pipeline.contact_sheet import contact_sheet
from pipeline.hub import website
from pipeline.hub.entries import PublishedFile, Quoted
from pipeline.hub.folder import read_index
from pipeline.hub.guides import FOLDER, INDEX, find_guides
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
COMPARISON = "site/compare.html"
BOTH = "#models=vit-publisher/vit_demo_classification,sayakpaul/vit_s16_classification"
COMPARED = f"{COMPARISON}{BOTH}"
PAGES = [START, MODULE, "vit-publisher/collections/demo/1.html", "sayakpaul/sayakpaul.html", COMPARED]
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
    """Returns the titles of the models in the table."""
    return page.locator(f"{ROWS} a.name").all_inner_texts()


def wait_for_count(page: Page, text: str) -> None:
    """Waits until the page has answered, which loads the script of all models before the first time."""
    page.locator("#modelCount").get_by_text(text, exact=True).wait_for()


def build_many(hub: Path, folder: Path, count: int) -> str:
    """Writes the website of many models that differ in title and size, and returns its address on the disk."""
    entry = read_index(hub).modules["sayakpaul/vit_s16_classification/1"]
    many = [
        replace(
            entry,
            handle=f"sayakpaul/m{number:03}_classification/1",
            title=f"M{number:03}",
            parameters=10**7 * (1 + number),
        )
        for number in range(count)
    ]
    website.build(folder, Index({entry.handle: entry for entry in many}, {}, {}))
    return f"{folder.as_uri()}/{START}"


@pytest.mark.parametrize(
    "name",
    [
        *PAGES,
        INDEX,
        *(pytest.param(f"{FOLDER}/{name}.html", marks=pytest.mark.long) for name in ("formats", "fine_tuning")),
    ],
)
def test_axe_finds_nothing(browser: Browser, address: str, name: str) -> None:
    with open_page(browser, f"{address}/{name}") as page:
        for scheme, (width, height) in itertools.product(SCHEMES, (DESKTOP, PHONE)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            assert find_violations(page) == [], (scheme, width)


@pytest.mark.long
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
        assert tables.count() == (6 if name == MODULE else 1)
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        for size in (DESKTOP, TABLET, PHONE, SMALL_PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], size
            scrolling = "collections" in name or COMPARISON in name  # many columns scroll in their box
            for table in () if scrolling else tables.all():
                assert table.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, size


@pytest.mark.long
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


def test_plots_are_shown_whole_on_a_phone(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{MODULE}", PHONE) as page:
        for plot in page.locator(".card .scroll:visible > img").all():
            box = plot.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE[0]


@pytest.mark.long
def test_every_page_of_the_documentation_fits_a_phone(browser: Browser, hub: Path) -> None:
    """Long words and wide tables scroll in their boxes."""
    with open_page(browser, f"{hub.as_uri()}/{INDEX}", (390, 800)) as page:
        for path in find_guides().paths:
            page.goto(f"{hub.as_uri()}/{path}")
            page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
            for size in ((390, 800), SMALL_PHONE):
                assert find_overflow(page, size) <= 0, (path, size)


def test_the_documentation_is_read_from_a_disk_without_script(browser: Browser, hub: Path) -> None:
    with open_page(browser, f"{hub.as_uri()}/{MODULE}", PHONE, script=False) as page:
        page.get_by_role("banner").get_by_role("link", name="Documentation").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Documentation")
        page.locator("main").get_by_role("link", name="Formats", exact=True).click()
        page.locator("summary").get_by_text("On this page").click()
        page.locator("details").get_by_role("link", name="How to call each").click()
        page.wait_for_url("**/site/docs/formats.html#how-to-call-each")
        expect(page.get_by_role("heading", name="How to call each")).to_be_in_viewport()
        page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="Documentation").click()
        page.wait_for_url("**/site/docs/index.html")


def test_the_contents_of_a_guide_stand_beside_it_or_are_folded_above_it(browser: Browser, hub: Path) -> None:
    with open_page(browser, f"{hub.as_uri()}/{FOLDER}/formats.html") as page:
        beside, above = page.get_by_role("navigation", name="On this page"), page.locator(".folded-contents")
        expect(beside).to_be_visible()
        expect(above).to_be_hidden()
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        expect(beside).to_be_hidden()
        expect(above).to_be_visible()
        assert page.locator("main .code .copy").count() == page.locator("main .code").count() > 0


def test_axe_reports_violations(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        page.evaluate(
            "document.querySelector('[for=modelField-least]').remove();document.body.style.color = 'rgb(240, 240, 240)'"
        )
        lines = find_violations(page)
        assert any(line.startswith("critical label: #modelField-least") for line in lines), lines
        assert any(line.startswith("serious color-contrast: ") for line in lines), lines


def test_light_and_dark_differ(browser: Browser, address: str) -> None:
    shades = []
    for scheme in SCHEMES:
        with open_page(browser, f"{address}/{START}", scheme=scheme) as page:
            shades.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(251, 250, 247)", "rgb(21, 24, 26)"]


def test_search_narrows_the_table_and_can_be_linked_to(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        assert page.locator("#modelCount").inner_text() == "2"
        page.get_by_label("Search").press_sequentially("s16 FE")
        wait_for_count(page, "1 of 2")
        assert titles(page) == ["ViT-S16"]
        page.reload()
        wait_for_count(page, "1 of 2")
        assert titles(page) == ["ViT-S16"]
        assert page.get_by_label("Search").input_value() == "s16 FE"
        page.get_by_label("Search").fill("no such model")
        page.get_by_text("No models match “no such model”.").wait_for()
        assert titles(page) == []
        page.get_by_role("button", name="Clear the search and all filters").click()
        wait_for_count(page, "2")
        assert len(titles(page)) == 2
        assert page.evaluate("location.hash") == ""
        assert page.evaluate("document.activeElement.name") == "find"


@pytest.fixture(scope="module")
def start_page(browser: Browser, address: str) -> Iterator[Page]:
    """The start page, for many searches."""
    with open_page(browser, f"{address}/{START}") as page:
        yield page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ViT-S/16", {"ViT-S16"}),
        ("vit_small_patch16_224", {"ViT-S16"}),
        ("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", {"ViT-S16"}),
        ("google/vit-small-patch16-224", {"ViT-S16"}),
        ("small", {"ViT-S16"}),
        ("SMA imagen", {"ViT-S16"}),
        ("sayakpaul/vit_s16_fe", {"ViT-S16"}),
        ("vit 16", {"ViT-S16"}),
        ("mnist", {"ViT-Mini4 on Fashion-MNIST"}),
        ("vision", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("classif", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("cat", set()),  # which is in "classification"
        ("its", set()),  # which is in "Vits"
        ("ViT-S/32", set()),
        ("s 16", {"ViT-S16"}),
        ("6", set()),
    ],
)
def test_search_knows_names_and_beginnings_of_words(start_page: Page, query: str, expected: set[str]) -> None:
    search = start_page.get_by_label("Search")
    other, others = ("no such model", "0 of 2") if expected else ("vit", "2")  # so that the count changes
    search.fill(other)
    wait_for_count(start_page, others)
    search.fill(query)
    wait_for_count(start_page, "2" if len(expected) == 2 else f"{len(expected)} of 2")
    assert set(titles(start_page)) == expected


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("Task", "Image feature vector", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("Architecture", "Vision Transformer S/16", {"ViT-S16"}),
        ("Architecture", "Vision Transformer", {"ViT-Mini4 on Fashion-MNIST", "ViT-S16"}),
        ("Data set", "Fashion-MNIST", {"ViT-Mini4 on Fashion-MNIST"}),
        ("Publisher", "Sayak Paul", {"ViT-S16"}),
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
        wait_for_count(page, "2" if len(expected) == 2 else f"{len(expected)} of 2")
        assert set(titles(page)) == expected


def test_of_many_rows_the_first_are_shown(browser: Browser, hub: Path, tmp_path: Path) -> None:
    with open_page(browser, build_many(hub, tmp_path, 120)) as page:
        assert len(titles(page)) == 50
        assert page.locator("#modelCount").inner_text() == "120"
        assert not page.get_by_role("navigation", name="Pages of the list").is_visible()
        page.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
        page.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
        page.locator("tbody tr").first.get_by_text("M119", exact=True).wait_for()
        expect(page.locator(ROWS)).to_have_count(50)  # the last of them follow when the first are painted
        page.get_by_label("Search").fill("m10")
        wait_for_count(page, "10 of 120")
        assert len(titles(page)) == 10
        assert not page.get_by_role("button", name="Show").is_visible()
        page.get_by_label("Search").fill("")
        wait_for_count(page, "120")
        page.get_by_role("button", name="Show 50 more of 70").click()
        page.locator(":focus").get_by_text("M069").wait_for()  # sorted downwards: the first of the new rows
        page.get_by_role("button", name="Show 20 more of 20").click()
        page.locator(":focus").get_by_text("M019").wait_for()
        assert len(titles(page)) == 120
        assert not page.get_by_role("button", name="Show").is_visible()


def test_all_of_many_models_can_be_read_without_script(browser: Browser, hub: Path, tmp_path: Path) -> None:
    with open_page(browser, build_many(hub, tmp_path, 120), script=False) as page:
        seen = titles(page)
        link = page.get_by_role("navigation", name="Pages of the list").get_by_role("link", name="Page 2")
        while link.count():
            link.click()
            page.get_by_role("heading", name=f"All models, M{len(seen):03} to M").wait_for()
            seen += titles(page)
            link = page.get_by_role("link", name="Next page")
        assert seen == [f"M{number:03}" for number in range(120)]
        assert find_overflow(page, PHONE) == 0


def find_overflow(page: Page, size: tuple[int, int]) -> int:
    """Returns by how many pixels a page is wider than a window."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_rows_drawn_by_the_script_are_those_of_the_template(browser: Browser, hub: Path, tmp_path: Path) -> None:
    """With all that a row may have: a picture, marks, a second version, figures that lie between two roundings."""
    index = read_index(hub)
    name = "vit-publisher/vit_demo_classification/2"
    demo = index.modules[name]
    assert demo.measured
    example = PublishedFile(f"{name}/examples/0.png", 1, "0" * 64, "Bag")
    measured = replace(demo.measured, top1=0.90125)  # 90.125 %, which Python writes as 90.12
    index.modules[name] = replace(
        demo, files=(*demo.files, example), measured=measured, parameters=22_250_000, weights=Verification.UNVERIFIED
    )
    s16 = "sayakpaul/vit_s16_classification/1"
    index.modules[s16] = replace(index.modules[s16], parameters=None, image_size=None, family=None, quoted=None)
    website.build(tmp_path, index)
    with open_page(browser, f"{tmp_path.as_uri()}/{START}", logged="ERR_FILE_NOT_FOUND") as page:
        rows = page.locator("table.modules tbody tr")
        before = [row.evaluate("row => row.innerHTML") for row in rows.all()]
        page.get_by_role("columnheader", name="Model").get_by_role("button").click()
        page.locator("th[aria-sort=ascending]").wait_for()
        assert [row.evaluate("row => row.innerHTML") for row in rows.all()] == before
        assert "90.12 %" in before[0]
        assert "22.2 M" in before[0]


def test_columns_sort_by_keyboard_and_the_address_keeps_it(browser: Browser, address: str) -> None:
    demo, small = "ViT-Mini4 on Fashion-MNIST", "ViT-S16"
    with open_page(browser, f"{address}/{START}") as page:
        heading = page.get_by_role("columnheader", name="Top-1")
        heading.get_by_role("button").focus()
        page.keyboard.press("Enter")
        page.locator("th[aria-sort=descending]").wait_for()
        assert titles(page) == [demo, small]
        page.keyboard.press("Space")
        page.locator("th[aria-sort=ascending]").wait_for()
        assert titles(page) == [small, demo]
        assert page.evaluate("location.hash") == "#sort=top1"
        page.reload()
        page.locator("th[aria-sort=ascending]").wait_for()
        assert titles(page) == [small, demo]
        page.get_by_role("columnheader", name="Model").get_by_role("button").click()
        page.locator("th[data-key=title][aria-sort]").wait_for()
        assert heading.get_attribute("aria-sort") is None
        assert titles(page) == [demo, small]


def test_a_change_of_the_address_changes_the_filters(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}#find=s16&task=Image+classification&sort=nothing") as page:
        wait_for_count(page, "1 of 2")
        assert titles(page) == ["ViT-S16"]
        page.evaluate("location.hash = '#dataset=Fashion-MNIST'")
        page.get_by_text("ViT-Mini4 on Fashion-MNIST", exact=True).first.wait_for()
        assert titles(page) == ["ViT-Mini4 on Fashion-MNIST"]
        page.evaluate("location.hash = '#main'")
        page.get_by_label("Search").press_sequentially("fe")
        wait_for_count(page, "1 of 2")
        assert titles(page) == ["ViT-Mini4 on Fashion-MNIST"]


def test_rows_without_a_value_stay_last(browser: Browser, hub: Path, tmp_path: Path) -> None:
    index, name = read_index(hub), "sayakpaul/vit_s16_classification/1"
    index.modules[name] = replace(index.modules[name], variant=None, parameters=None)
    copied = shutil.copytree(hub, tmp_path / "hub")
    website.build(copied, index)
    with open_page(browser, f"{copied.as_uri()}/{START}") as page:
        for name in ("Architecture", "Parameters"):
            for direction in ("ascending", "descending"):
                page.get_by_role("columnheader", name=name).get_by_role("button").click()
                page.locator(f"th[aria-sort={direction}]").get_by_text(name).wait_for()
                assert titles(page)[-1] == "ViT-S16"


def test_a_list_that_cannot_be_loaded_is_reported(browser: Browser, hub: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(hub, tmp_path / "hub")
    (copied / "site/models.js").unlink()
    with open_page(browser, f"{copied.as_uri()}/{START}", logged="ERR_FILE_NOT_FOUND") as page:
        page.get_by_label("Search").fill("s16")
        page.get_by_text("the list could not be loaded: check the connection, then try again").wait_for()
        assert len(titles(page)) == 2


def test_models_are_compared_side_by_side(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        bar = page.get_by_role("region", name="Comparison")
        assert not bar.is_visible()
        page.get_by_label("Compare ViT-S16").check()
        assert "1 model chosen: choose another one" in bar.inner_text()
        assert not bar.get_by_role("link", name="Compare").is_visible()
        page.get_by_label("Compare ViT-Mini4 on Fashion-MNIST").check()
        page.reload()  # the address keeps the choice
        wait_for_count(page, "2")
        expect(page.get_by_label("Compare ViT-S16")).to_be_checked()
        bar.get_by_role("link", name="Compare").click()
        page.wait_for_url("**/site/compare.html#models=**")
        heads = page.locator("table.comparison thead th > a").all_inner_texts()
        assert heads == ["ViT-S16", "ViT-Mini4 on Fashion-MNIST"]
        for text in ("80.46 %", "91.90 %", "22,050,664", "307,082", "apache-2.0", "SavedModel", "images/s"):
            assert page.get_by_role("cell").get_by_text(text).first.is_visible(), text
        assert "their accuracies cannot be compared" in page.locator(".notice").first.inner_text()
        page.get_by_role("button", name="Remove ViT-S16").click()
        page.get_by_text("Choose two to four models").wait_for()
        page.get_by_role("link", name="Add or change models").click()
        wait_for_count(page, "2")
        expect(page.get_by_label("Compare ViT-Mini4 on Fashion-MNIST")).to_be_checked()


def test_at_most_four_models_are_compared(browser: Browser, hub: Path, tmp_path: Path) -> None:
    with open_page(browser, build_many(hub, tmp_path, 5)) as page:
        boxes = page.locator(".pick input")
        for number in range(4):
            boxes.nth(number).check()
        assert boxes.nth(4).is_disabled()
        boxes.nth(0).uncheck()
        assert boxes.nth(4).is_enabled()
        page.get_by_role("button", name="Clear", exact=True).last.click()
        assert page.locator(".pick input:checked").count() == 0
        names = ",".join(f"sayakpaul/m{number:03}_classification" for number in range(5))
        page.goto(f"{tmp_path.as_uri()}/{COMPARISON}#models={names},no/such")
        assert page.locator("table.comparison thead th").count() == 4
        page.get_by_text("This hub lists no model no/such.").wait_for()


def test_a_dot_has_a_name_and_leads_to_its_model(browser: Browser, hub: Path, tmp_path: Path) -> None:
    with open_page(browser, build_many(hub, tmp_path, 3), logged="ERR_FILE_NOT_FOUND") as page:
        dot = page.locator(".for-wide circle[data-model='sayakpaul/m001_classification']")
        dot.hover()
        tip = page.locator(".tip")
        tip.get_by_text("M001", exact=True).wait_for()
        assert "80.46 % quoted, 20.0 M parameters" in tip.inner_text()
        page.keyboard.press("Escape")
        assert not tip.is_visible()
        page.get_by_label("Search").fill("m002")
        wait_for_count(page, "1 of 3")
        assert page.locator(".for-wide circle.out").count() == 2
        page.get_by_label("Search").fill("")
        wait_for_count(page, "3")
        dot.click()
        page.wait_for_url("**/sayakpaul/m001_classification/1.html")


def test_on_a_phone_plots_have_names_and_a_finger_shows_them_first(browser: Browser, hub: Path, tmp_path: Path) -> None:
    address = build_many(hub, tmp_path, 3)
    with open_page(browser, address, PHONE) as page:
        names = page.locator("figure.plot text.name:visible")
        assert names.count() == 3
        assert names.first.evaluate("text => text.getBoundingClientRect().height") > 9
        box = page.locator(".for-narrow circle[data-model='sayakpaul/m001_classification']").bounding_box()
        assert box
        tap = "([x, y]) => document.elementFromPoint(x, y).dispatchEvent(new PointerEvent('click', { bubbles: true, clientX: x, clientY: y, pointerType: 'touch' }))"  # noqa: E501
        page.locator("figure.plot").scroll_into_view_if_needed()
        box = page.locator(".for-narrow circle[data-model='sayakpaul/m001_classification']").bounding_box()
        assert box
        page.evaluate(tap, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        page.locator(".tip a").wait_for()
        assert page.url == address


def test_a_dense_plot_shows_which_models_match(browser: Browser, hub: Path, tmp_path: Path) -> None:
    with open_page(browser, build_many(hub, tmp_path, 150)) as page:
        matches = page.locator(".for-wide.dense .match.quoted")
        page.get_by_label("Search").fill("m14")
        wait_for_count(page, "10 of 150")
        assert (matches.get_attribute("d") or "").count("M") >= 1
        page.get_by_label("Search").fill("")
        wait_for_count(page, "150")
        expect(matches).to_have_attribute("d", "")  # drawn when the rows are painted


def test_a_publishers_page_lists_and_searches_its_models_alone(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/sayakpaul/sayakpaul.html") as page:
        assert titles(page) == ["ViT-S16"]
        page.get_by_label("Search").fill("mnist")
        wait_for_count(page, "0 of 1")
        page.get_by_label("Search").fill("s16")
        wait_for_count(page, "1")
        page.get_by_role("link", name="classifier of ViT-S16").click()
        page.wait_for_url("**/sayakpaul/vit_s16_classification/1.html")


def test_wrong_addresses_lead_back(browser: Browser, hub: Path) -> None:
    with running(hub) as here, open_page(browser, f"{here.address}/", logged="404") as page:
        for path in ("nothing", "vit-publisher/vit_demo_fe/99", "a/b/c/d"):
            page.goto(f"{here.address}/{path}")
            page.get_by_role("heading", name="Page not found").wait_for()
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
            assert find_violations(page) == []
            page.get_by_role("link", name="All models").click()
            page.get_by_role("heading", name="Image models for TensorFlow").wait_for()


def test_code_of_the_start_page_is_copied_as_it_runs(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}") as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy: Code that loads a model").click()
        code = (
            "import tensorflow_hub as hub\nmodel = hub.load("
            '\n    "http://localhost:8080/vit-publisher/vit_demo_classification/2.tar.gz"\n)'
        )
        wait_until(page, "text => navigator.clipboard.readText().then((copied) => copied === text)", code)


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
            ("Copy: Address", "http://localhost:8080/vit-publisher/vit_demo_classification/1.tar.gz"),
            ("Copy: Code, python", read_snippet(hub)),
        ):
            page.get_by_role("button", name=name).first.click()
            wait_until(page, "text => navigator.clipboard.readText().then((copied) => copied === text)", expected)
        expect(page.get_by_role("button", name="Copied")).to_have_count(3)
        page.clock.run_for(2000)
        assert page.get_by_role("button", name="Copied").count() == 0


def read_snippet(hub: Path) -> str:
    """Returns the first snippet of a card, as it is written there."""
    card = (hub / MODULE).with_suffix(".md").read_text(encoding="utf-8")
    return card.split("```python\n")[1].split("\n```")[0]


def test_everything_is_there_without_script(browser: Browser, address: str) -> None:
    with open_page(browser, f"{address}/{START}", script=False) as page:
        assert len(titles(page)) == 2
        assert not page.locator("#modelFilters").is_visible()
        assert page.get_by_role("button").count() == 0
        page.get_by_role("link", name="ViT-S16").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ViT-S16")
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
        wait_for_count(page, "1 of 2")
        assert titles(page) == ["ViT-S16"]
        page.get_by_label("Search").fill("")
        wait_for_count(page, "2")
        page.get_by_role("link", name="ViT-Mini4 on Fashion-MNIST").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ViT-Mini4 on Fashion-MNIST")
        assert page.locator("main img").first.evaluate("image => image.naturalWidth") > 0
        page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="demo").click()
        page.get_by_role("link", name="ViT-Mini4 on Fashion-MNIST").nth(2).click()
        page.wait_for_url("**/vit-publisher/vit_demo_fe/2.html")


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
    for name in (START, MODULE, COMPARED):
        with open_page(browser, f"{copied.as_uri()}/{name}") as page:
            page.locator("h1").first.wait_for()
            if name == START:  # let the script draw the rows again
                page.get_by_label("Compare").first.check()
                page.get_by_role("columnheader", name="Model").get_by_role("button").click()
                page.locator("th[aria-sort=ascending]").wait_for()
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
