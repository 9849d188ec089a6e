"""Pages: comments, tags and sections are found in one pass."""

import re

import pytest

from pipeline.base.fault import Fault
from pipeline.cards.collection_page import check_collection, list_member, render_collection
from pipeline.cards.page import (
    LARGEST_PAGE,
    MOST_SHOWN,
    Problem,
    parse_page,
    refuse_problems,
    size_problems,
    split_comments,
    split_tag,
)
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report
from tests.card_facts import VIT, checked_files, seed_records
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("html", "comments", "rest"),
    [
        ("a", [], "a"),
        (" a ", [], " a "),
        ("<!--a-->", ["a"], ""),
        (" <!--a--> \n<!--b-->", ["a", "b"], ""),
        ("x <!--a--> y <!-- b --> z", ["a", " b "], "xyz"),
        ("<!--a--><!--b", ["a"], "<!--b"),
        ("<!-->-->", [">"], ""),
    ],
)
def test_comments_are_split_off(html: str, comments: list[str], rest: str) -> None:
    assert split_comments(html) == (comments, rest)


@pytest.mark.parametrize(
    ("comment", "tag"),
    [
        (" task: image-classification ", ("task", "image-classification")),
        ("asset-path:https://a/b", ("asset-path", "https://a/b")),
        (" a b : c : d ", ("a b", "c : d")),
        (" a ", None),
        (" : a ", None),
        (" a: ", None),
        (" a/b: c ", None),
        (" a:\nb", None),
    ],
)
def test_a_tag_is_a_key_and_a_value(comment: str, tag: tuple[str, str] | None) -> None:
    assert split_tag(comment) == tag


def test_tags_stand_alone_on_their_lines() -> None:
    page = parse_page(
        "# Module a/b/1\nText.\n<!-- task: a -->\n<!-- b: c --> d\n<!-->\n<!-- e: f -->  \n# End\n<!-- g: h -->"
    )
    assert [(tag.line, tag.key, tag.value) for tag in page.tags] == [(3, "task", "a"), (6, "e", "f")]
    assert page.strays == (4, 5)


def test_a_section_ends_at_the_next_heading() -> None:
    page = parse_page("# A\n\n## B\ntext\n\n\n## C\n\n## B\nmore\n")
    assert [page.section(name) for name in ("A", "B", "C", "D")] == [range(1, 2), range(3, 5), range(7, 8), range(0)]


def test_many_long_problems_are_cut() -> None:
    problems = [Problem(line, f"the heading {'a' * 5_000!r} is wrong\x1b") for line in range(1, 1001)]
    with pytest.raises(Fault) as raised:
        refuse_problems("page.md", problems)
    lines = str(raised.value).split("\n")
    assert lines[-1] == "page.md: 999 more problems; correct these first"
    assert lines[0].startswith("page.md:1: the heading 'aaa")
    assert lines[0].endswith("aaa' is wrong\\x1b")
    with pytest.raises(Fault, match=rf"page\.md: {1000 - MOST_SHOWN} more problems; correct these first$"):
        refuse_problems("page.md", [Problem(line, "wrong") for line in range(1, 1001)])
    assert all(len(line) < 1030 for line in lines)


# Size -----------------------------------------------------------------------------------------------------------------
def test_a_new_page_leaves_room_for_a_notice() -> None:
    head = "# Module a/b/1\n\n## Short\n\nx\n\n## Long\n\n"
    fitting = head + "é" * ((LARGEST_PAGE - 5_000 - len(head)) // 2)
    assert list(size_problems(parse_page(fitting))) == []
    (problem,) = size_problems(parse_page(f"{fitting}xx"))
    assert re.fullmatch(
        r"the page has 245,00\d bytes, and at most 245,000 are published: shorten it; its longest section is 'Long'",
        problem.text,
    )


def test_a_card_that_is_too_large_is_refused_when_it_is_made(report: Report) -> None:
    paragraphs = "\n\n".join(f"Line {number}." for number in range(20_000))
    with pytest.raises(Fault, match=r"classification\.md:1: the page has \d+,\d+ bytes, and at most 245,000 are publ"):
        checked_files(seed_records(report, note=paragraphs))


def test_a_page_of_a_collection_that_is_too_large_is_refused_when_it_is_made() -> None:
    with pytest.raises(
        Fault,
        match=r"1\.md:1: the page has \d+,\d+ bytes, and at most 995,000 are published: move some of its members to",
    ):
        check_collection(f"# Collection a/b/1\n\n{'x' * 995_000}\n", VIT, [], "1.md")


def test_the_page_of_a_collection_of_two_thousand_members_is_published(report: Report) -> None:
    collection = read_collection(ROOT / "model_cards/demo/collection.yaml")
    members = [
        list_member(VIT, f"vit_r50_l32_{number}_wd01_do01_sd01_20k_lr001", Module(1, f"R50+L/32, {number}"), report)
        for number in range(2_000)
    ]
    page = render_collection(collection, members)
    assert len(page) > 2 * LARGEST_PAGE
    check_collection(page, collection, [member.report for member in members], "1.md")
