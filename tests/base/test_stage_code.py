"""stage_code: what changes the digest of a stage's code, and what does not."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.stage_code import ROOT, StageCode

MODULES = {
    "convert": "from pipeline import near\n\ndef run():\n    from pipeline.far import x\n    return x\n",
    "near": "import json\n\nVALUE = 1\n",
    "far": "x = 2\n",
    "saved_model/selftest": "y = 3\n",
    "package": "from pipeline.saved_model import selftest\n",
    "validate": "from pipeline.model import vit\nfrom pipeline.images.sets import choose\n",
    "card": "import pipeline.images.sets\n",
    "fetch": "from pipeline.plug import all\n",
    "model/__init__": "'''What there is.'''\n",
    "model/vit": "from pipeline.model.variants import SIZES\n",
    "model/variants": "SIZES = ()\n",
    "images/__init__": "",
    "images/sets": "def choose():\n    return 1\n",
    "images/other": "z = 4\n",
    "plug/all": "IMPORTS_BY_NAME = ('plug/*/part.py',)\n",
    "plug/one/part": "p = 1\n",
}
STAGES = ("convert", "package", "validate", "card", "fetch")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pipeline").mkdir()
    for name, text in MODULES.items():
        path = tmp_path / f"pipeline/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digests(root: Path) -> dict[str, str]:
    """Returns the digests as one make after the other computes them, with what the last one remembered."""
    code = StageCode(root / "code.json", root)
    found = {stage: code.digest(stage) for stage in STAGES}
    code.keep()
    assert found == {stage: StageCode(root / "none.json", root).digest(stage) for stage in found}
    return found


@pytest.mark.parametrize(
    ("module", "text", "changed"),
    [
        ("near", "import json  # of the standard library\n\n\n'''Said.'''\nVALUE = (1)\n", set()),
        ("near", "import json\n\nVALUE = 2\n", {"convert"}),
        ("far", "x = 3\n", {"convert"}),  # imported inside a function
        ("saved_model/selftest", "y = 3  # the same\n", {"package"}),  # it travels as it is
        ("near", "from pipeline import package\n\nVALUE = 1\n", {"convert"}),
        ("near", "import pipeline.images.other\n\nVALUE = 1\n", {"convert"}),
        ("model/vit", "from pipeline.model.variants import SIZES\nwidth = 1\n", {"validate"}),
        ("model/variants", "SIZES = (1,)\n", {"validate"}),  # imported by a module in the same package
        ("images/sets", "def choose():\n    return 2\n", {"validate", "card"}),
        ("images/other", "z = 5\n", set()),
        ("plug/one/part", "p = 2\n", {"fetch"}),  # imported by a name that is known only when it runs
        ("model/__init__", "'''What it is.'''\n", set()),
        ("images/__init__", "from pipeline.images import other\n", {"validate", "card"}),
    ],
)
def test_what_asks_for_a_stage_again(root: Path, module: str, text: str, changed: set[str]) -> None:
    before = digests(root)
    (root / f"pipeline/{module}.py").write_text(text)
    after = digests(root)
    assert {stage for stage in before if before[stage] != after[stage]} == changed
    (root / f"pipeline/{module}.py").write_text(MODULES[module])
    assert digests(root) == before


# The real pipeline: convert and validate take hours for a large collection, so only code that they need may rerun them.
PIPELINE = ROOT / "pipeline"
MEASURING = ("model", "proof", "accuracy", "images")
OTHERS = ("pool", "cards", "download", "hub", "server", "dag")
# Of anybody's modules or checkpoints, not of a member's.
FOREIGN = (
    "evaluate", "accuracy.third_party", "accuracy.interface", "accuracy.outputs", "accuracy.module_settings",
    "accuracy.module_figures", "saved_model.remote", "saved_model.callables", "model.layouts",
)  # fmt: skip


def modules_of(*packages: str) -> list[str]:
    """Returns the dotted names below `pipeline` of the packages' modules."""
    paths = [path for package in packages for path in sorted((PIPELINE / package).glob("*.py"))]
    return [f"{path.parent.name}.{path.stem}" for path in paths if path.stem != "__init__"]


@pytest.fixture(scope="module")
def copied_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the pipeline, each test leaves it as it was, and code.json, the memory of its modules."""
    folder = tmp_path_factory.mktemp("copied")
    shutil.copytree(PIPELINE, folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    digest_slow_stages(folder)
    return folder


def digest_slow_stages(folder: Path) -> dict[str, str]:
    code = StageCode(folder / "code.json", folder)
    digests = {stage: code.digest(stage) for stage in ("convert", "validate")}
    if not (folder / "code.json").exists():
        code.keep()
    return digests


def rerun_by(folder: Path, module: str) -> set[str]:
    """Returns which of convert and validate an edit of a module reruns."""
    path = folder.joinpath("pipeline", *module.split(".")).with_suffix(".py")
    before, text = digest_slow_stages(folder), path.read_text()
    path.write_text(text + "\nCHANGED = True\n")
    after = digest_slow_stages(folder)
    path.write_text(text)
    return {stage for stage in before if before[stage] != after[stage]}


@pytest.mark.parametrize("module", [*modules_of(*OTHERS), *FOREIGN])
def test_other_code_measures_no_member_again(copied_pipeline: Path, module: str) -> None:
    assert rerun_by(copied_pipeline, module) == set()


@pytest.mark.parametrize("module", [name for name in modules_of(*MEASURING) if name not in FOREIGN])
def test_code_that_measures_validates_again(copied_pipeline: Path, module: str) -> None:
    assert "validate" in rerun_by(copied_pipeline, module)


def test_nothing_is_written_where_nothing_changed(root: Path) -> None:
    digests(root)
    written = (root / "code.json").stat().st_mtime_ns
    digests(root)
    assert (root / "code.json").stat().st_mtime_ns == written
