"""Fixtures and helpers of many tests: tiny collections, runs of make and stages, HTTP servers; fast and slow tests."""

import fcntl
import functools
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.base.environment import QUICK_XLA_FLAGS
from pipeline.base.stage_code import StageCode
from pipeline.facts.report import Report
from pipeline.saved_model.programs import PROGRAMS
from pipeline.stamps import STAGES
from tests import warm
from tests.machine import forget_the_person, pin_temporary_folder
from tests.reports import REPORT

if TYPE_CHECKING:
    from pipeline.pool.index import Row

ROOT = Path(__file__).parents[1]
CLASSES = ("red", "green", "blue")
# The files that make needs; copy_project() copies them.
PROJECT = (
    "Makefile", "setup.mk", "pipeline", "templates", "requirements.lock", "pyproject.toml", "docs", "CHANGELOG.md",
    "benchmarks/README.md",
)  # fmt: skip

MEMBER = """\
checkpoint:
  name: {name}
  sources: ["{name}.npz"]

model:
  variant: {variant}
  image_size: {size}
  classes: 3
  labels: labels.tsv

evaluation:
  dataset: the test set of colours
  images: images
  minimum_top1: 0.0

module:
  version: 1
  title: {name}
"""

COLLECTION = """\
name: tiny
hub_url: http://localhost:8080
publisher: {id: tester, name: Tester, about: For tests.}
summary: never trained
training: never trained
dataset_tag: other
dataset_name: Colours
license: apache-2.0
overview: They are random.
about: They are tiny.
references:
  - {text: The paper, url: "https://arxiv.org/abs/2010.11929"}
  - {text: jax2tf, url: "https://github.com/jax-ml/jax"}
"""


def write_images(folder: Path, per_class: int) -> None:
    """Writes a folder for each of CLASSES with PNG files of that colour, 12 by 10 pixels."""
    for index, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.zeros((10, 12, 3), np.uint8)
            pixels[..., index] = 200 + number
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def write_members(folder: Path, members: dict[str, tuple[str, int]]) -> None:
    """Writes a collection with labels and images; `members` gives the variant and the image size of each by name."""
    folder.mkdir(parents=True)
    (folder / "collection.yaml").write_text(COLLECTION)
    (folder / "labels.tsv").write_text("".join(f"{name}\t{name.title()}\n" for name in CLASSES))
    write_images(folder / "images", per_class=4)
    for name, (variant, size) in members.items():
        (folder / f"{name}.yaml").write_text(MEMBER.format(name=name, variant=variant, size=size))


def write_collection(folder: Path, members: dict[str, tuple[str, int]]) -> None:
    """Writes a collection as write_members() does, and a random checkpoint for each member."""
    from benchmarks.random_checkpoints import random_arrays
    from pipeline.model.section import Model

    write_members(folder, members)
    with (folder / "collection.yaml").open("a") as stream:
        stream.write("formats: [xla]\n")  # the others take a minute; tests that are about them make them
    for seed, (name, (variant, size)) in enumerate(members.items()):
        np.savez(folder / f"{name}.npz", allow_pickle=False, **random_arrays(Model(variant, size, 3), seed))


# Fast and slow tests -----------------------------------------------------------------------------------------------
# A test that needs TensorFlow, JAX or a browser is slow: it is marked with `slow`, or its module has the line
# PYTESTMARK, or it uses one of SLOW_FIXTURES. `make test-fast` runs the other tests, and refuses to import these
# packages (tests/fast/sitecustomize.py), so that a slow test without the mark fails.
PYTESTMARK = "pytestmark = pytest.mark.slow"
SLOW_FIXTURES = {"published", "dropping", "demo_hub", "mini_checkpoint"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run only tests without TensorFlow, JAX and a browser")
    parser.addoption("--long", action="store_true", help="run only the tests that make check-full runs")


def pytest_configure(config: pytest.Config) -> None:
    if sys.getfilesystemencoding() != "utf-8":
        raise pytest.UsageError("the tests have names of files in UTF-8: set PYTHONUTF8=1, as make test does")
    pin_temporary_folder()
    home = tempfile.TemporaryDirectory(prefix="home-")
    config.add_cleanup(home.cleanup)
    forget_the_person(Path(home.name))
    # Of the tests and of all that they start, but for make in the project itself.
    # They test whether a module runs, not how fast, and a gradient takes a quarter of the time to compile. `make
    # check-full` publishes the demo, and others, as users do.
    os.environ["XLA_FLAGS"] = QUICK_XLA_FLAGS
    is_plain = config.getoption("fast") or config.getoption("long")
    if "PYTEST_XDIST_WORKER" not in os.environ and not is_plain:
        _share_what_stages_repeat(config)
    if config.getoption("fast"):
        from tests.fast import sitecustomize

        sitecustomize.install()
        paths = [str(Path(sitecustomize.__file__).parent), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def _share_what_stages_repeat(config: pytest.Config) -> None:
    """Has the stages of all tests share imports and compiled programs, but for make in the project itself."""
    stack = ExitStack()
    folder, os.environ[PROGRAMS] = (
        stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True))
        for name in ("warm", "programs")
    )
    stack.enter_context(warm.offering(Path(folder)))
    config.add_cleanup(stack.close)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves slow modules out of a fast run without importing them."""
    if not config.getoption("fast") or collection_path.suffix != ".py":
        return None
    return True if PYTESTMARK in collection_path.read_text(encoding="utf-8").splitlines() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the users of slow fixtures, leaves long and slow tests out where they do not belong, orders the others."""
    wanted = [item for item in items if bool(item.get_closest_marker("long")) is config.getoption("long")]
    config.hook.pytest_deselected(items=list(set(items) - set(wanted)))
    items[:] = wanted
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    slow = [item for item in items if item.get_closest_marker("slow")]
    fast = [item for item in items if not item.get_closest_marker("slow")]
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=slow)
        slow = []
    # Processes that share the tests begin with what takes longest, so that they end together.
    items[:] = slow + fast if "PYTEST_XDIST_WORKER" in os.environ else fast + slow


def write_weights(path: Path) -> Path:
    """Writes an .npz file that fetch accepts; no stage after it would."""
    np.savez(path, allow_pickle=False, a=np.zeros(3, np.float32))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A collection folder with one member, `mini`, without its checkpoint: Mini/8 on 16 pixels, 3 classes."""
    write_members(tmp_path / "tiny", {"mini": ("Mini/8", 16)})
    return tmp_path / "tiny"


@pytest.fixture
def mini_checkpoint(tiny: Path) -> Path:
    """The checkpoint of `mini`, random, in its collection's folder."""
    from benchmarks.random_checkpoints import random_arrays
    from pipeline.model.section import Model

    np.savez(tiny / "mini.npz", allow_pickle=False, **random_arrays(Model("Mini/8", 16, 3), seed=0))
    return tiny / "mini.npz"


def copy_project(folder: Path) -> Path:
    """Copies the project without the model cards, so that make runs there; returns the folder.

    Compiled modules come along: no process of make compiles them again.
    """
    folder.mkdir(parents=True)
    for name in PROJECT:
        source = ROOT / name
        (folder / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)
    return folder


def run_make(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs make in a tree, without the settings of the make that started the tests."""
    # make hands the settings of its command line down in both.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    return subprocess.run(
        ["make", *arguments],
        cwd=tree, env=inherited | environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def make(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs make in a tree with the interpreter that runs the tests; in the project itself as users run it.

    The tiny models of a test's own tree are compiled quickly, and its stages share what they repeat.
    """
    if tree == ROOT:
        return run_make(tree, f"PYTHON={sys.executable}", *arguments, **{"XLA_FLAGS": "", PROGRAMS: ""} | environment)
    return run_make(tree, f"PYTHON={warm.interpreter()}", *arguments, **environment)


def once(tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Builds a folder once per run of the tests; other workers of pytest-xdist wait for it. Returns its path."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = folder.with_suffix(".built")
        if not built.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            built.touch()
    return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree after `make publish-all COLLECTION=tiny`: `mini` is plain, `rati` a hybrid. Tests must not change it."""

    def build(tree: Path) -> None:
        copy_project(tree)
        write_collection(tree / "model_cards/tiny", {"mini": ("Nano/8", 16), "rati": ("R+Nano/32", 32)})
        done = make(tree, "-j4", "publish-all", "COLLECTION=tiny")
        assert done.returncode == 0, done.stdout + done.stderr

    return once(tmp_path_factory, "published", build)


@pytest.fixture(scope="session")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both SavedModels of a Mini/8 with dropout. Tests must not change it."""

    def build(folder: Path) -> None:
        write_collection(folder / "tiny", {"drop": ("Mini/8", 16)})
        member, out = folder / "tiny/drop.yaml", folder / "drop"
        member.write_text(member.read_text().replace("  classes: 3\n", "  classes: 3\n  dropout: 0.1\n"))
        done = run_stage("convert", member, folder / "tiny/drop.npz", out)
        assert done.returncode == 0, done.stderr
        assert json.loads((out / "fe/assets.extra/provenance.json").read_text())["model"]["dropout"] == 0.1

    return once(tmp_path_factory, "dropping", build) / "drop"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SavedModels of tests.saved_model.models.write_models(). Tests must not change it."""
    from tests.saved_model.models import write_models

    return once(tmp_path_factory, "models", write_models)


@pytest.fixture
def ours(models: Path, tmp_path: Path) -> Path:
    """A copy of the portable SavedModel of `models` that a test may change."""
    return Path(shutil.copytree(models / "ours", tmp_path / "ours"))


@pytest.fixture
def tree(published: Path, tmp_path: Path) -> Path:
    """A copy of `published` that a test may change; files keep their times."""
    copy = tmp_path / "tree"
    subprocess.run(["cp", "-a", published, copy], check=True)
    # Receipts contain the absolute path of their hub.
    for receipt in copy.rglob("published.json"):
        stat = receipt.stat()
        receipt.write_text(receipt.read_text().replace(str(published), str(copy)))
        os.utime(receipt, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return copy


@pytest.fixture(scope="session")
def code_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make remembers of the project's code: without it, the first make of a tree parses all of it."""
    path = tmp_path_factory.mktemp("memory") / "code.json"
    code = StageCode(path)
    for stage in STAGES:
        code.digest(stage)
    code.keep()
    return path


@pytest.fixture
def fresh(tmp_path: Path, code_memory: Path) -> Path:
    """A tree with the member `mini`, of which nothing has been made; its checkpoint is one for fetch alone."""
    tree = copy_project(tmp_path / "tree")
    (tree / "artifacts/.stamps").mkdir(parents=True)
    shutil.copy(code_memory, tree / "artifacts/.stamps")
    write_members(tree / "model_cards/tiny", {"mini": ("Mini/8", 16)})
    write_weights(tree / "model_cards/tiny/mini.npz")
    return tree


Stage = Callable[..., subprocess.CompletedProcess[str]]


def run_stage(name: str, *arguments: object, python: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `python -m pipeline.<name> <arguments>`, by an interpreter; without one, by that of tests.warm."""
    command = [python or warm.interpreter(), "-m", f"pipeline.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def stage() -> Stage:
    """The function run_stage."""
    return run_stage


def without_privileges(*command: object) -> list[str]:
    """Returns a command that may write only where the rights of files allow it, also when root runs the tests."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    if not shutil.which("setpriv"):
        pytest.skip("setpriv of util-linux takes root's privileges away, and is missing")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]


def protect(folder: Path) -> Path:
    """Takes everybody's right to write away from a folder and all that is in it; returns the folder."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    return folder


def assert_refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Asserts that a command refused its input: exit status 1, a message with the parts, no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@contextmanager
def serving(
    handler: Callable[..., http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serves on a free port, over https if there is an SSL context; yields the address, such as http://127.0.0.1:8000."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # poll for shutdown() every 20 ms
    thread.start()
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """Serves a folder as a static web server does; yields the address."""
    with serving(functools.partial(_Quiet, directory=str(folder))) as address:
        yield address


@pytest.fixture(scope="session")
def report() -> Report:
    """A report of validate, with a measured accuracy."""
    return REPORT


@pytest.fixture(scope="session")
def pool_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up index.csv as large as the pool's. Tests must not change it."""
    from benchmarks import synthetic_index

    def build(folder: Path) -> None:
        folder.mkdir()
        synthetic_index.write(folder / "index.csv")

    return once(tmp_path_factory, "pool", build) / "index.csv"


@pytest.fixture(scope="session")
def pool_rows(pool_index: Path) -> tuple["Row", ...]:
    """All rows of `pool_index`."""
    from pipeline.pool import index

    return index.read(pool_index).rows
