"""make beside other programs' settings: odd characters in paths, other interpreters, shells and makes."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, make, run_make
from tests.machine import fake_interpreter


def locales() -> list[str]:
    """Returns the locales of this machine."""
    return subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()


FETCH = ("fetch", "MODEL=mini")


def test_odd_characters_in_the_path_of_the_outputs(fresh: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "o'brien\"$HOME$(x)#1&date=`x`,{ä}~<>!@"
    done = make(fresh, *FETCH, f"ARTIFACTS={artifacts}")
    assert done.returncode == 0, done.stderr
    assert (artifacts / "mini/checkpoint.npz").exists()
    plan = make(fresh, "-n", "publish-all", "COLLECTION=tiny", f"ARTIFACTS={artifacts}")
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "pipeline.fetch" not in plan.stdout  # make finds the file under its name
    assert "pipeline.package" in plan.stdout


ODD = 'Bob\'s "hub"  $HOME `x` #1 100%; * (ä)'


@pytest.mark.parametrize("character", [*"%:;|*?[\\"])
def test_characters_that_make_cannot_have_in_a_target(tmp_path: Path, character: str) -> None:
    done = make(ROOT, "fetch", "MODEL=vit_demo", f"ARTIFACTS={tmp_path}/a{character}b")
    assert done.returncode == 2
    assert f"make cannot work with {character} in it; choose another folder" in done.stderr


def test_odd_characters_in_other_settings_reach_the_command_as_they_are(fresh: Path, tmp_path: Path) -> None:
    """In the settings of the command line, and in those of the environment."""
    place = tmp_path / ODD
    place.mkdir()
    shutil.copy(fresh / "model_cards/tiny/mini.npz", place)
    done = make(fresh, *FETCH, f"LOCK={place}/l", f"CACHE={place}/c", f"HUB={place}/h", CHECKPOINTS=str(place))
    assert done.returncode == 0, done.stderr
    assert f"fetch mini from {place}/mini.npz: " in done.stderr
    assert (fresh / "artifacts/.stamps/hub").read_text() == f"{place}/h"


def test_no_recipe_quotes_a_setting_by_hand() -> None:
    """An apostrophe in it would end the quotes; the functions quote, given and option escape it."""
    for name in ("Makefile", "setup.mk"):
        for line in (ROOT / name).read_text().splitlines():
            assert line.lstrip().startswith("#") or not re.search(r"'\$\([A-Z_]+\)", line.replace("'$(THIS)'", "")), (
                line
            )


def test_the_index_of_the_pool_is_found_beside_checkpoints_in_a_path_of_several_words(tmp_path: Path) -> None:
    mine = tmp_path / "my  checkpoints"
    mine.mkdir()
    arguments = ("select", "COLLECTION=vit", f"CHECKPOINTS={mine}", f"ARTIFACTS={tmp_path}/artifacts", "OFFLINE=1")
    assert "select: gs://vit_models/augreg/index.csv: OFFLINE=1" in make(ROOT, *arguments).stderr
    (mine / "index.csv").touch()
    assert f"select: {mine}/index.csv: the index is empty" in make(ROOT, *arguments).stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("HUB=a\nb", "HUB= has a line break; expected one line"),
        ("ARTIFACTS=-a", "ARTIFACTS=-a: begins with -; write ./-a"),
        ("HUB=-a", "HUB=-a: begins with -; write ./-a"),
    ],
)
def test_paths_that_no_command_line_can_have(setting: str, message: str) -> None:
    done = make(ROOT, "fetch", "MODEL=vit_demo", setting)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("name", ["vit (1)", "vit copy", "bob's", "a$b"])
def test_a_member_whose_name_make_cannot_have_is_named(fresh: Path, name: str) -> None:
    """As a file manager or browser names a copy."""
    (fresh / f"model_cards/tiny/{name}.yaml").touch()
    done = make(fresh, *FETCH)
    assert done.returncode == 2
    assert f"model_cards/tiny/{name.split()[0]}" in done.stderr
    assert "may have the letters a-z and A-Z, digits and - _ . but no spaces; rename it" in done.stderr


def test_a_path_that_is_not_utf_8(fresh: Path, tmp_path: Path) -> None:
    """As of a file system of the time before UTF-8."""
    hub = os.fsdecode(bytes(tmp_path) + b"/caf\xe9")
    for _ in range(2):
        done = make(fresh, *FETCH, f"HUB={hub}")
        assert done.returncode == 0, done.stderr
    assert (fresh / "artifacts/.stamps/hub").read_bytes() == os.fsencode(hub)


def test_a_clone_in_a_folder_of_any_name(fresh: Path, tmp_path: Path) -> None:
    clone = fresh.rename(tmp_path / ODD)
    assert make(clone, *FETCH).returncode == 0
    assert make(tmp_path, "-C", str(clone), "-q", *FETCH).returncode == 0


ENVIRONMENT = {
    "PYTHON": "python3.99",  # autotools and node-gyp set it
    "PYTHONSAFEPATH": "1",
    "PYTHONHOME": "/nonexistent",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONPATH": "FOLDER",
    "BASH_ENV": "FOLDER/bash_env",
    "BASH_FUNC_test%%": "() { return 1; }",
    "SHELL": "/bin/false",
    "IFS": "a",
    "CDPATH": "/tmp",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "POSIXLY_CORRECT": "1",
    "VIRTUAL_ENV": "/nonexistent",
    "MAKEFLAGS": "-j8",
    "MAKEFILES": "/dev/null",
}


def test_the_environment_of_other_programs_does_not_count(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "bash_env").write_text("exit 7\n")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").write_text("raise SystemExit('another package')\n")
    (fresh / ".venv").symlink_to(make_environment(tmp_path / "environment", fresh / "requirements.lock"))
    environment = {name: value.replace("FOLDER", str(tmp_path)) for name, value in ENVIRONMENT.items()}
    done = run_make(fresh, *FETCH, **environment)
    assert (done.returncode, done.stdout) == (0, "fetch mini\n"), done.stderr


def make_environment(folder: Path, lock: Path) -> Path:
    """Makes an environment with the libraries of the one that runs the tests, as make does; returns the folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    shutil.copy(lock, folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    return folder


def test_an_interpreter_without_the_requirements_is_refused_at_once(fresh: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare.parents[1]], check=True)
    done = run_make(fresh, *FETCH, f"PYTHON={bare}")
    assert done.returncode == 2
    assert re.search(rf"PYTHON={bare}: it lacks flax .* yaml; install requirements.lock there", done.stderr)
    assert "Traceback" not in done.stderr


def test_make_knows_what_the_pipeline_imports() -> None:
    """What comes with another requirement, and what is optional, aside."""
    lines = (ROOT / "setup.mk").read_text().replace("\\\n", "").splitlines()
    (required,) = [line.split()[2:] for line in lines if line.startswith("REQUIRED := ")]
    imported = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    aside = {
        "urllib3",
        "markupsafe",
        "jaxlib",
        "fsspec",
        "pyarrow",
        "google",
        "starlette",
        "uvicorn",
        "h11",
        "tensorflow_datasets",
        "ray",
        # Of the extra runtimes.
        "ai_edge_litert",
        "flatbuffers",
        "onnx",
        "onnxruntime",
        # Of the extras release, huggingface, kaggle and trust.
        "boto3",
        "botocore",
        "cryptography",
        "httpx2",
        "huggingface_hub",
        "kagglehub",
        "kagglesdk",
        "obstore",
        "securesystemslib",
        "tuf",
    }
    assert imported - set(sys.stdlib_module_names) - {"pipeline"} - aside <= set(required)


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_another_python_is_refused_at_once(tmp_path: Path, version: str) -> None:
    python = fake_interpreter(tmp_path / "python", f"{version}\n", status=1)
    done = make(ROOT, "fetch", "MODEL=vit_demo", f"PYTHON={python}")
    assert f"PYTHON={python}: expected Python 3.11 to 3.13, it is Python {version}; without" in done.stderr
    done = make(ROOT, "fetch", "MODEL=vit_demo", "PYTHON=/bin/false")
    assert "PYTHON=/bin/false: expected Python 3.11 to 3.13, it does not run; without" in done.stderr


def test_set_up_refuses_another_python(fresh: Path, tmp_path: Path) -> None:
    python = fake_interpreter(tmp_path / "my python", "Python 3.10.12\n", status=1)
    done = run_make(fresh, *FETCH, f"BASE_PYTHON={python}")
    assert done.returncode == 2
    assert f"make: {python} must be Python 3.11 to 3.13, got: Python 3.10.12\n" in done.stderr
    done = run_make(fresh, *FETCH, "BASE_PYTHON=python3.99")
    assert re.search(
        "make: python3.99 must be Python 3.11 to 3.13, got: .*not found\nmake: set BASE_PYTHON", done.stderr
    )
    assert not (fresh / ".venv").exists()


def test_an_environment_whose_interpreter_is_gone_is_made_again(fresh: Path) -> None:
    """As after an update of the system; the lock is the one that was installed."""
    (fresh / ".venv/bin").mkdir(parents=True)
    (fresh / ".venv/bin/python").symlink_to("/nonexistent/python3")
    shutil.copy(fresh / "requirements.lock", fresh / ".venv")
    assert "-m venv --clear .venv" in run_make(fresh, "-n", *FETCH).stdout


@pytest.mark.parametrize("version", ["3.81", "4.2.1"])
def test_an_older_make_is_refused(version: str) -> None:
    """macOS ships 3.81; that the line is the first shows that nothing before it needs a newer one."""
    done = run_make(ROOT, "help", f"MAKE_VERSION={version}")
    assert f"needs GNU Make 4.3 or newer, this is {version}; on macOS: brew install make" in done.stderr
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith(".error : ")
    assert "$(value MAKE_VERSION)" in lines[1]


@pytest.mark.skipif(not shutil.which("bmake"), reason="there is no BSD make")
def test_bsd_make_is_refused() -> None:
    done = subprocess.run(["bmake", "help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "needs GNU Make 4.3 or newer" in done.stdout + done.stderr


def test_make_in_another_folder_says_where_to_run_it(tmp_path: Path) -> None:
    done = run_make(tmp_path, "-f", str(ROOT / "Makefile"), "help")
    assert f"run make in the folder of the project, that of {ROOT}/Makefile." in done.stderr


def test_tools_read_letters_in_the_locale_c() -> None:
    """In Turkish `[A-Z]` has no I: half of the settings were unknown. Few machines have that locale to try it in."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "setup.mk"))
    tools = re.findall(r"^[^#\n]*?(?:(LC_ALL=C) )?\b(awk|grep|sed|sort|tr) [-'\"]", text, re.MULTILINE)
    assert {tool for _, tool in tools} >= {"awk"}
    assert [tool for locale, tool in tools if not locale] == []


@pytest.mark.skipif("tr_TR.utf8" not in locales(), reason="this machine has no Turkish locale")
def test_make_knows_its_settings_in_turkish() -> None:
    done = make(ROOT, "-n", "fetch", "COLLECTION=demo", LC_ALL="tr_TR.UTF-8")
    assert done.returncode == 0, done.stderr
