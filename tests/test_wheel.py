"""The wheel: what is in it, what it requires, and its script, run outside any checkout."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from benchmarks.installed_wheel import build
from pipeline.base.extras import install_line, missing_packages
from pipeline.cli import COMMANDS
from pipeline.version import VERSION
from tests.conftest import ROOT


@dataclass(frozen=True)
class Wheel:
    """The wheel, and the folder that pip has installed it into, without its requirements."""

    path: Path
    installed: Path

    def command(self, *arguments: object, options: tuple[str, ...] = ()) -> list[str]:
        """Returns the command line of its script; `options` are the interpreter's."""
        return [sys.executable, *options, str(self.installed / "bin/vit-publisher"), *map(str, arguments)]

    def run(self, *arguments: object, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, options=options), cwd=self.installed.parent, env=self.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.installed), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    folder = tmp_path_factory.mktemp("wheel")
    path = build(folder / "sources")  # from the source archive, which must have all of it, too
    installed = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", installed, path], check=True)
    return Wheel(path, installed)


def packed(folder: str, pattern: str = "*", below: str = "pipeline/") -> set[str]:
    """Returns the files in a folder of the checkout, as paths in the wheel."""
    paths = [path for path in (ROOT / folder).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts]
    return {f"{below}{path.relative_to(ROOT).as_posix()}" for path in paths}


def test_the_wheel_has_the_code_the_templates_the_labels_and_the_documentation_and_nothing_else(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.path) as archive:
        held = set(archive.namelist())
    about = f"vit_publisher-{VERSION}.dist-info"
    code = packed("pipeline", "*.py", "") | packed("pipeline", "*.tsv", "")
    labels = packed("model_cards/labels") | {"pipeline/model_cards/vit/imagenet2012.tsv"}
    assert len(labels) > 3
    templates = packed("templates")
    assert {"pipeline/templates/site/hub.js", "pipeline/templates/site/base.html.jinja"} < templates
    documentation = packed("docs") | {"pipeline/CHANGELOG.md", "pipeline/benchmarks/README.md"}
    assert {"pipeline/docs/index.md", "pipeline/docs/start-page.png"} < documentation
    assert {name for name in held if not name.startswith(f"{about}/")} == code | templates | labels | documentation
    assert f"{about}/licenses/LICENSE" in held


def test_it_finds_its_own_documentation(wheel: Wheel) -> None:
    code = "from pipeline.hub.guides import find_guides; print(*find_guides().files, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=wheel.path.parent, env=wheel.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) > 30
    assert all(file.is_file() and file.is_relative_to(wheel.installed / "pipeline") for file in files)


def test_its_metadata_is_valid_and_what_all_commands_need_is_light(wheel: Wheel) -> None:
    assert wheel.path.name == f"vit_publisher-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel.path) as archive:
        metadata = Metadata.from_email(archive.read(f"vit_publisher-{VERSION}.dist-info/METADATA"), validate=True)
        scripts = archive.read(f"vit_publisher-{VERSION}.dist-info/entry_points.txt").decode()
    assert (metadata.name, str(metadata.version), metadata.license_expression) == (
        "vit-publisher",
        VERSION,
        "Apache-2.0",
    )
    assert metadata.description_content_type == "text/markdown"
    assert scripts == "[console_scripts]\nvit-publisher = pipeline.cli:main\n"
    requirements = metadata.requires_dist or []
    assert not [requirement for requirement in requirements if requirement.url]
    base = {requirement.name for requirement in requirements if not requirement.marker}
    assert base == {
        "pyyaml", "jinja2", "markdown-it-py", "requests", "google-crc32c", "tqdm", "pydantic", "isal",
    }  # fmt: skip
    assert {command.extra for command in COMMANDS.values()} - {""} <= set(metadata.provides_extra or [])


def test_the_lock_file_is_of_all_extras_that_the_checkout_uses() -> None:
    """`dev` brings the others, so that the lock is written from it alone."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (requirement,) = re.findall(r'^dev = \[\n    "(vit-publisher\[.*\])"', lines, re.MULTILINE)
    used = Requirement(requirement).extras | {"convert", "evaluate", "doctor", "dev", "cloud", "parquet"}
    assert used == set(
        re.findall(r"^(\w+) = \[", lines.partition("optional-dependencies]")[2].partition("[tool")[0], re.M)
    )


def test_the_script_describes_its_commands(wheel: Wheel) -> None:
    done = wheel.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in done.stdout
        assert f"{command.summary}{f' [{command.extra}]' if command.extra else ''}\n" in done.stdout
    assert wheel.run("--version").stdout == f"vit-publisher {VERSION}\n"


def test_each_command_is_a_module_that_knows_the_script() -> None:
    for command in COMMANDS.values():
        assert f'prog=program("{command.module}")' in (ROOT / f"pipeline/{command.module}.py").read_text()


def test_a_command_gives_its_own_help(wheel: Wheel) -> None:
    done = wheel.run("check-hub", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: vit-publisher check-hub ")


def test_what_is_no_command_is_refused(wheel: Wheel) -> None:
    done = wheel.run("serv")
    assert done.returncode == 2
    assert (
        "vit-publisher: error: unknown command 'serv' (did you mean 'serve'?); expected one of doctor, " in done.stderr
    )
    done = wheel.run()
    assert done.returncode == 2
    assert "required: COMMAND" in done.stderr


def test_exit_statuses_and_messages_are_the_commands_own(wheel: Wheel, tmp_path: Path) -> None:
    done = wheel.run("serve", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"serve: HUB={tmp_path}/nowhere: no such folder; expected a hub")
    done = wheel.run("serve", tmp_path, "--prot", "1")
    assert done.returncode == 2
    assert "vit-publisher serve: error: unrecognized arguments: --prot 1" in done.stderr


def test_a_missing_extra_is_named_in_one_sentence(wheel: Wheel) -> None:
    done = wheel.run("evaluate", "module", options=("-S",))  # without the packages of this environment
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "vit-publisher: evaluate needs tensorflow, jaxlib, numpy, scipy, pillow, which are not installed; "
        'run: pip install "vit-publisher[evaluate]"\n'
    )
    done = wheel.run("serve", "hub", options=("-S",))
    assert done.stderr.endswith(
        'starlette, uvicorn, which are not installed; run: pip install "vit-publisher[serve]"\n'
    )


def test_a_checkout_has_what_make_installs() -> None:
    assert missing_packages("evaluate") == []
    assert install_line("cloud") == 'pip install ".[cloud]"'


def test_the_script_serves_a_hub(wheel: Wheel, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a hub")
    (tmp_path / "index.json").write_text(json.dumps({"modules": {"a/b/1": {"files": []}}, "collections": {}}))
    command = wheel.command("serve", tmp_path, "--port", 0)
    with subprocess.Popen(
        command, env=wheel.environment(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        try:
            address = re.findall(r" at (http://\S+)/ until Ctrl-C", server.stderr.readline())[0]
            with urlopen(f"{address}/") as response:
                assert response.read() == b"a hub"
        finally:
            server.terminate()
    assert server.returncode == 0
