"""tfhub.dev's rules for pages: pages that keep them pass, and each fault is refused with file and line."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.cards import tf_hub_rules
from pipeline.cards.page import parse_page
from pipeline.cards.tf_hub_rules import KINDS, check, known_tags
from tests.conftest import Stage, assert_refused

MODULE = """\
# Module vtab/sup-100/1

Image feature vectors learned from labels [1].

<!-- asset-path: https://hub.example/vtab/sup-100/1.tar.gz -->
<!-- task: image-feature-vector -->
<!-- fine-tunable: true -->
<!-- format: saved_model_2 -->
<!-- dataset: imagenet-21k -->
<!-- dataset: imagenet-ilsvrc-2012-cls -->
<!-- license: apache-2.0 -->
<!-- network-architecture: vit -->

## Overview

It takes values in [0, 1], as [the paper](https://arxiv.org/abs/1910.04867) says, and is
described in [1, 2].

### Details

Code may say `<b>` and `[9]`.

```python
print("<i>", [7])
```

## References

[1] [A paper](https://arxiv.org/abs/1910.04867)

[2] [Its code](https://github.com/google-research/task_adaptation)
"""
COLLECTION = """\
# Collection vtab/benchmark/1
Collection of visual representations that have been evaluated on the
VTAB benchmark.

<!-- task: image-feature-vector -->

## Overview

This is the list.
"""
PUBLISHER = """\
# Publisher vtab
Visual Task Adaptation Benchmark

[![Icon URL]](https://storage.googleapis.com/vtab/vtab_logo_120.png)

## VTAB

The benchmark.
"""
LITE = """\
# Lite google/spice/1

Pitch of a melody.

<!-- asset-path: https://hub.example/google/spice/1.tflite -->
<!-- parent-model: google/spice/2 -->
"""


NOTEBOOK = "[![Open Colab notebook]](https://colab.research.google.com/a.ipynb)"


@pytest.mark.parametrize(
    "text",
    [
        MODULE,
        COLLECTION,
        PUBLISHER,
        LITE,
        MODULE.replace("1\n\nImage", "1\nImage", 1),
        MODULE.replace("Code may", "![a](1/plots/a.svg) Code may"),
        MODULE.replace("## Overview", f"{NOTEBOOK}\n\n## Overview"),
    ],
)
def test_the_pages_of_the_guide_pass(text: str) -> None:
    check(text, "1.md")


def test_a_page_is_parsed() -> None:
    page = parse_page(COLLECTION)
    assert page.handle == "vtab/benchmark/1"
    assert page.description == "Collection of visual representations that have been evaluated on the VTAB benchmark."
    assert page.values("task") == ["image-feature-vector"]
    assert page.lines[page.body] == "## Overview"
    page = parse_page(MODULE)
    assert next((link.line, link.text) for link in page.links()) == (16, "https://arxiv.org/abs/1910.04867")
    assert [(heading.level, heading.text) for heading in page.headings()][:3] == [
        (1, "Module vtab/sup-100/1"),
        (2, "Overview"),
        (3, "Details"),
    ]


FAULTS = {
    "no title": ("# Module", "Module", r"1\.md:1: the first line must be '# <kind> <handle>', such as '# Module"),
    "unknown kind": ("# Module", "# Modul", r"1\.md:1: .*got '# Modul vtab/sup-100/1' \(did you mean 'Module'\?\)"),
    "no version": ("sup-100/1\n", "sup-100\n", r"1\.md:1: .*is not the first line of a module; expected '# Module "),
    "publisher with underscore": ("# Module vtab", "# Module v_tab", r"1\.md:1: .*lower-case letters, digits and '-'"),
    "no description": ("Image feature vectors learned from labels [1].\n", "", r"1\.md:3: there is no description"),
    "no sentence": ("labels [1].", "labels [1]", r"1\.md:3: the description must be a sentence that ends with '\.'"),
    "two sentences": ("learned from", "work. They learn from", r"1\.md:3: the description must be one sentence, got"),
    "text among tags": (
        "<!-- task: image-feature-vector -->",
        "See below.\n<!-- task: image-feature-vector -->",
        r"1\.md:6: 'See below\.' is among the tags; expected a line '<!-- key: value -->', or",
    ),
    "missing tag": ("<!-- format: saved_model_2 -->\n", "", r"1\.md:11: the tag 'format' is missing, which the page"),
    "unknown tag": ("<!-- license:", "<!-- licence:", r"1\.md:11: .*no tag 'licence' \(did you mean 'license'\?\)"),
    "tag of another kind": ("<!-- license: apache-2.0", "<!-- demo: https://a.b", r"1\.md:11: .*no tag 'demo'"),
    "two values": (
        "<!-- license: apache-2.0 -->",
        "<!-- license: apache-2.0 -->\n<!-- license: mit -->",
        r"1\.md:12: the tag 'license' may have one value, got 'apache-2\.0', 'mit'",
    ),
    "task of no domain": ("image-feature-vector", "feature-vector", r"1\.md:6: a task begins with image-, text-"),
    "unknown task": (
        "image-feature-vector",
        "image-features-vector",
        r"1\.md:6: 'image-features-vector' is not a task of tfhub\.dev \(did you mean 'image-feature-vector'\?\)",
    ),
    "unknown dataset": ("imagenet-21k", "imagenet-22k", r"1\.md:9: 'imagenet-22k' is not a dataset of tfhub\.dev"),
    "unknown license": ("apache-2.0", "apache", r"1\.md:11: 'apache' is not a license of tfhub\.dev"),
    "unknown architecture": (": vit -", ": vision -", r"1\.md:12: 'vision' is not a network-architecture of"),
    "fine-tunable": ("fine-tunable: true", "fine-tunable: yes", r"1\.md:7: fine-tunable must be true or false, got"),
    "format": ("saved_model_2", "keras", r"1\.md:8: format must be hub, saved_model, saved_model_2, got 'keras'"),
    "asset of another kind": ("1.tar.gz", "1.zip", r"1\.md:5: asset-path must end with \.tar\.gz, got 'https://hub"),
    "asset without address": ("https://hub.example/", "/srv/", r"1\.md:5: asset-path must be a public address"),
    "asset of a release": (
        "https://hub.example/vtab/sup-100/",
        "https://github.com/a/b/releases/download/v1/",
        r"1\.md:5: asset-path .* may not be fetched by programs",
    ),
    "colab elsewhere": ("license: apache-2.0", "colab: https://a.b/c", r"1\.md:11: colab must lead to colab\.research"),
    "colab without https": ("license: apache-2.0", "colab: a.ipynb", r"1\.md:11: colab must be an https address, got"),
    "badge elsewhere": (
        "## Overview",
        f"{NOTEBOOK.replace('colab.research.google.com', 'colab.example')}\n\n## Overview",
        r"1\.md:14: the link to a Colab notebook must lead to https://colab\.research\.google\.com, got 'https://colab\.e",
    ),
    "two titles": ("### Details", "# Details", r"1\.md:19: the heading 'Details' has the level of the page's title"),
    "gap in headings": ("### Details", "#### Details", r"1\.md:19: the heading 'Details' is of level 4 below one of"),
    "no overview": ("## Overview", "## Summary", r"1\.md:\d+: there is no section '## Overview'"),
    "html": ("Code may", "<b>Code</b> may", r"1\.md:21: raw HTML, '<b>': expected Markdown, and HTML for"),
    "html block": ("Code may", "<script>a</script>\n\nCode may", r"1\.md:21: raw HTML, '<script>a</script>'"),
    "tag too late": ("Code may", "<!-- task: a -->\n\nCode may", r"1\.md:21: the tag '<!-- task: a -->' has no effect"),
    "link to a file": ("https://arxiv.org/abs/1910.04867) says", "file:///a) says", r"1\.md:16: the link 'file:///a'"),
    "link to a host": ("https://arxiv.org/abs/1910.04867) says", "/a.md) says", r"1\.md:16: the link '/a\.md'"),
    "remote picture": ("Code may", "![a](https://b.c/d) Code", r"1\.md:21: the picture 'https://b\.c/d' is on"),
    "citation": ("[1, 2]", "[1, 3]", r"1\.md:17: \[3\] is cited, but the references end at \[2\]"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_with_file_and_line(fault: str) -> None:
    old, new, message = FAULTS[fault]
    assert old in MODULE
    with pytest.raises(Fault, match=message):
        check(MODULE.replace(old, new), "1.md")


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (COLLECTION, "task: image-feature-vector", "license: mit", r"page of a collection has no tag 'license'"),
        (COLLECTION, "<!-- task: image-feature-vector -->\n", "", r"the tag 'task' is missing"),
        (PUBLISHER, "[![Icon", "<!-- task: image-others -->\n[![Icon", r":4: the page of a publisher has no tag"),
        (PUBLISHER, "vtab\nVisual Task Adaptation Benchmark\n", "vtab\n", r":3: there is no description"),
        (LITE, "1.tflite", "1.tar.gz", r":5: asset-path must end with \.tflite"),
        (LITE, "google/spice/2", "spice", r":6: parent-model must be a handle such as google/spice/1, got 'spice'"),
        (LITE, "<!-- parent-model: google/spice/2 -->\n", "", r"the tag 'parent-model' is missing"),
    ],
)
def test_each_kind_has_its_own_tags(text: str, old: str, new: str, message: str) -> None:
    assert old in text
    with pytest.raises(Fault, match=message):
        check(text.replace(old, new), "1.md")


def test_every_fault_of_a_page_is_listed() -> None:
    text = MODULE.replace("image-feature-vector", "image-vector").replace("fine-tunable: true", "fine-tunable: 1")
    with pytest.raises(Fault, match=r"(?s)a/1\.md:6: 'image-vector' .*\na/1\.md:7: fine-tunable"):
        check(text, "a/1.md")


def test_tags_have_lists_of_values() -> None:
    assert "fashion-mnist" in known_tags()["dataset"]
    assert "own" not in known_tags()
    for kind in KINDS.values():
        assert known_tags().keys() & (kind.required | kind.optional) or not kind.required | kind.optional


def test_the_command_names_each_file(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(MODULE)
    (tmp_path / "bad.md").write_text(MODULE.replace("apache-2.0", "apache"))
    assert stage("cards.tf_hub_rules", tmp_path / "good.md").returncode == 0
    (tmp_path / "picture.md").write_bytes(b"\x89PNG")
    done = stage("cards.tf_hub_rules", *(tmp_path / f"{name}.md" for name in ("bad", "good", "none", "picture")))
    assert_refused(
        done,
        f"{tmp_path}/bad.md:11: 'apache' is not a license",
        f"{tmp_path}/none.md: no such file",
        f"{tmp_path}/picture.md: not UTF-8 text ('utf-8' codec can't decode byte 0x89",
    )


@pytest.mark.parametrize(
    ("summary", "is_one"),
    [
        ("trained by Dr. Lee on approx. 5,000 photographs, e.g. St. Gallen's", True),
        ("trained by A. Lee et al. [2] on U.S. Roads", True),
        ("trained auf Fotos, z. B. Bäumen", True),
        ("trained on photographs. They are small", False),
        ("trained by Dr. Lee! They are small", False),
        ("trained on the photographs of A. Lee (2024). They are small", False),
    ],
)
def test_abbreviations_end_no_sentence(summary: str, is_one: bool) -> None:
    page = parse_page(f"# Module a/b/1\n\nModel: {summary}.\n\n## Overview\n")
    assert any("must be one sentence" in problem.text for problem in tf_hub_rules.problems(page)) is not is_one


def test_an_address_for_mail_is_a_link() -> None:
    page = parse_page("# Publisher a\n\nA\n\n## About\n\n[Write](mailto:a@example.org) or [call](tel:1).\n")
    links = [problem.text for problem in tf_hub_rules.problems(page) if "the link" in problem.text]
    assert [link.split("'")[1] for link in links] == ["tel:1"]
