"""The README keeps its word: its commands, settings, figures and links exist."""

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

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
SHELL_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", "\n".join([*SHELL_BLOCKS, *re.findall(r"`([^`\n]+)`", PROSE)]))
    )
    assert {"publish", "publish-all", "test", "serve", "bench", "check-full", "lint"} <= named
    assert named <= targets


@pytest.mark.parametrize(
    ("target", "benchmarks"),
    [
        ("bench", ("packing", "downloading", "selection", "site", "serving", "evaluation", "forward", "conversion")),
        ("check-full", ("full_size", "compatibility", "added_members")),
    ],
)
def test_heavy_proofs_are_part_of_what_runs_them(target: str, benchmarks: tuple[str, ...]) -> None:
    recipe = make(ROOT, "-n", target, "TORCH_PYTHON=").stdout
    assert re.findall(r" -m benchmarks\.(\w+)", recipe) == list(benchmarks)


def test_what_was_not_run_is_said() -> None:
    missing = "the round trip through timm was NOT run: set TORCH_PYTHON=<an interpreter"
    assert missing in make(ROOT, "-n", "check-full", "TORCH_PYTHON=").stdout
    done = make(ROOT, "-n", "check-full", "TORCH_PYTHON=torch/python").stdout
    assert "-m benchmarks.timm_round_trip --torch-python 'torch/python'" in done
    assert missing not in done


def test_settings_are_the_makefiles() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*$", README, re.MULTILINE)
    settings = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)) - {"BASE_PYTHON"} | {"PYTHON"}
    assert set(rows) == settings
    assert "`BASE_PYTHON`" in README


def test_the_example_of_healthz_is_what_the_first_hub_answers(tmp_path: Path) -> None:
    """A hub as `make publish MODEL=vit_demo` leaves it: both modules, and no collection yet."""
    (example,) = re.findall(r"^curl http://127\.0\.0\.1:8080(\S+) +# (.*)$", README, re.MULTILINE)
    modules: dict[str, dict[str, list[str]]] = {f"vit-publisher/vit_demo_{head}/1": {"files": []} for head in Head}
    (tmp_path / "index.json").write_text(json.dumps({"modules": modules, "collections": {}}))
    with running(tmp_path) as here:
        assert here.ask(example[0]).body.decode() == example[1] + "\n"


def test_every_stage_is_explained() -> None:
    for stage in set(STAGES) - {"collection"}:
        assert re.search(rf"^\| {stage} \|", README, re.MULTILINE), stage


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
    for path in re.findall(r"`((?:model_cards|pipeline|tests|benchmarks|templates)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path


def test_the_excerpt_is_a_rendered_card(report: Report) -> None:
    demo = ROOT / "model_cards/demo"
    module = yaml_sections.load(demo / "vit_demo.yaml", "module", Module)
    collection = read_collection(demo / "collection.yaml")
    card = cards("vit_demo", module, collection, collection.hub_url, report, {"name": "vit_demo"})["classification"]
    table = re.search(r"^\| what \| value .*?\n\n", card, re.MULTILINE | re.DOTALL)
    assert table
    assert table[0] in README


def test_the_example_of_ones_own_model_is_the_demo() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert (ROOT / "model_cards/demo/vit_demo.yaml").read_text().startswith(example)


def test_the_example_of_add_is_named_as_it_says() -> None:
    (checkpoint,) = re.findall(r"^make add CHECKPOINT=(\S+)$", README, re.MULTILINE)
    assert f"make publish MODEL={member_name(parse(checkpoint))} " in README
    assert collection_name(parse(S16 + "--cifar100-steps_2k-lr_0.01-res_224")) in README


@pytest.mark.parametrize(
    "stage_name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) if name == "validate" else name for name in STAGES),
        "check",
        "select",
        "add",
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
        assert (argument[0] or argument[1].lower()) in done.stdout, argument


def test_no_placeholder_is_left() -> None:
    assert not re.search(r"\b(TODO|TBD|FIXME|FIGURES|DATE|XXX)\b", README)


def test_python_versions_agree() -> None:
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
    assert "Python 3.11 to 3.13" in README
    assert "(3, 11) <= sys.version_info < (3, 14)" in (ROOT / "setup.mk").read_text()
