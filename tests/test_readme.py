"""README.md and docs/ keep their word: their commands, settings, figures and links exist."""

import json
import re
from pathlib import Path

import pytest

from pipeline.base import yaml_sections
from pipeline.base.heads import Head
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report
from pipeline.pool.drafts import collection_name, member_name
from pipeline.pool.names import parse
from pipeline.stamps import STAGES
from tests.card_facts import cards
from tests.conftest import ROOT, Stage, make
from tests.pool.test_names import S16
from tests.server.harness import running
from tests.snippets import blocks_of

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def page(name: str) -> str:
    return PAGES[ROOT / "docs" / f"{name}.md"]


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = set()
    for text in PAGES.values():
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        commands = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", prose)
        named |= set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", "\n".join(commands)))
    assert {"publish", "publish-all", "test", "test-fast", "serve", "bench", "check-full", "lint"} <= named
    assert named <= targets


@pytest.mark.parametrize(
    ("target", "benchmarks"),
    [
        (
            "bench",
            "packing publishing downloading uploading selection pool_of_members site start_page large_hub serving"
            " images cluster hostile evaluation forward litert_files conversion validation loading",
        ),
        (
            "check-full",
            "full_size compatibility hostile publishing_kills releasing_kills cluster hostile_requests"
            " hostile_downloads added_members every_row fresh_install reproduction installed_wheel make_attacks",
        ),
    ],
)
def test_heavy_proofs_are_part_of_what_runs_them(target: str, benchmarks: str) -> None:
    recipe = make(ROOT, "-n", target, "TORCH_PYTHON=").stdout
    assert re.findall(r" -m benchmarks\.(\w+)", recipe) == benchmarks.split()


def test_what_was_not_run_is_said() -> None:
    missing = "the comparisons with timm were NOT run: set TORCH_PYTHON=<an interpreter"
    assert missing in make(ROOT, "-n", "check-full", "TORCH_PYTHON=").stdout
    done = make(ROOT, "-n", "check-full", "TORCH_PYTHON=torch/python").stdout
    for name in ("layout_round_trips", "timm_outputs"):
        assert f"-m benchmarks.{name} --torch-python='torch/python'" in done
    assert missing not in done


def test_settings_are_the_makefiles() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*$", page("settings"), re.MULTILINE)
    settings = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)) - {"BASE_PYTHON"} | {"PYTHON"}
    assert sorted(rows) == sorted(settings)
    assert "`BASE_PYTHON`" in page("settings")


def test_the_example_of_healthz_is_what_the_first_hub_answers(tmp_path: Path) -> None:
    """A hub as `make publish MODEL=vit_demo` leaves it: both modules, and no collection yet."""
    (example,) = re.findall(r"^curl http://127\.0\.0\.1:8080(\S+) +# (.*)$", page("hub"), re.MULTILINE)
    modules: dict[str, dict[str, list[str]]] = {f"vit-publisher/vit_demo_{head}/1": {"files": []} for head in Head}
    (tmp_path / "index.json").write_text(json.dumps({"modules": modules, "collections": {}}))
    with running(tmp_path) as here:
        assert here.ask(example[0]).body.decode() == example[1] + "\n"


def test_every_stage_is_explained() -> None:
    for stage in STAGES:
        assert re.search(rf"^\| {stage.removeprefix('member_')} \|", README, re.MULTILINE), stage


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[path]):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link
    for name in re.findall(r"`((?:model_cards|pipeline|tests|benchmarks|templates)/[\w./-]+)`", PAGES[path]):
        assert (ROOT / name).exists(), name
    for module in re.findall(r"`[^`\n]*-m ((?:pipeline|benchmarks|model_cards)\.[\w.]+)", PAGES[path]):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_the_index_links_every_page() -> None:
    pages = {path.name for path in PAGES if path.parent == ROOT / "docs"} - {"index.md"}
    links = set(re.findall(r"\]\(([^)#]+)\)", page("index")))
    assert sorted(pages - links) == []
    assert "](docs/index.md)" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_excerpt_is_a_rendered_card(report: Report) -> None:
    demo = ROOT / "model_cards/demo"
    module = yaml_sections.load(demo / "vit_demo.yaml", "module", Module)
    collection = read_collection(demo / "collection.yaml")
    card = cards("vit_demo", module, collection, collection.hub_url, report, {"name": "vit_demo"})[Head.CLASSIFICATION]
    table = re.search(r"^\| what \| value .*?\n\n", card, re.MULTILINE | re.DOTALL)
    assert table
    assert table[0] in page("cards")


def test_the_example_of_ones_own_model_is_the_demo() -> None:
    (example,) = blocks_of("docs/members.md", "yaml")
    assert (ROOT / "model_cards/demo/vit_demo.yaml").read_text().startswith(example)


def test_the_example_of_add_is_named_as_it_says() -> None:
    (checkpoint,) = re.findall(r"^ *CHECKPOINT=(\S+)$", page("augreg"), re.MULTILINE)
    assert f"make publish MODEL={member_name(parse(checkpoint))} " in page("augreg")
    assert collection_name(parse(S16 + "--cifar100-steps_2k-lr_0.01-res_224")) in page("augreg")


@pytest.mark.parametrize(
    "stage_name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) if name == "validate" else name for name in STAGES),
        "check",
        "select",
        "add",
        "new",
        "imagenette",
        "serve",
    ],
)
def test_help_texts_name_every_argument(stage_name: str, stage: Stage) -> None:
    done = stage(stage_name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m pipeline.{stage_name} ")
    source = (ROOT / f"pipeline/{stage_name}.py").read_text()
    usage = re.search(r"^ *python -m pipeline\.\w+ (.*)$", source, re.MULTILINE)
    assert usage
    for argument in re.findall(r"\[?(--[a-z]+)|\b([A-Z]{3,})\b", usage[1].split(".yaml", 1)[-1]):
        assert (argument[0] or argument[1].lower()) in done.stdout.lower(), argument


def test_no_placeholder_is_left() -> None:
    for text in PAGES.values():
        text = text.replace("`TODO:`", "")  # the mark of make new
        assert not re.search(r"\b(TODO|TBD|FIXME|FIGURES|DATE|XXX|TABLE|YAML\n)\b", text)


def test_python_versions_agree() -> None:
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
    assert "Python 3.11 to 3.13" in README
    assert "(3, 11) <= sys.version_info < (3, 14)" in (ROOT / "setup.mk").read_text()
