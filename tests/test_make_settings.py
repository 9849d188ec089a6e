"""The settings of make: which are refused, how they reach the commands, and what make prints."""

import re
from pathlib import Path

import pytest

from pipeline.accuracy.module_settings import AGAINST, NAMES
from tests import warm
from tests.conftest import ROOT, make, serving_folder
from tests.make_attacks import SWITCHES

ALL = ("publish-all", "COLLECTION=tiny")


def test_help_names_every_public_target() -> None:
    done = make(ROOT, "help")
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for target in set(phony[1].split()) - {"FORCE", "members_readable"}:
        assert re.search(rf"^  {target} +\w", done.stdout, re.MULTILINE), target


def test_help_explains_every_setting() -> None:
    done = make(ROOT, "help")
    settings = re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"MODEL", "PYTHON", "V"} <= set(settings)
    for setting in settings:
        assert re.search(rf"^  {setting} +\w", done.stdout, re.MULTILINE), setting
    for group in ("Publish models", "Development", "Checkpoints"):
        assert f"\n{group}\n  " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("publish", "MODEL=vit_s17"),
            "unknown member MODEL=vit_s17; the members are: cnn_demo vit_b16 vit_b32 vit_demo",
        ),
        (("publish",), "say which member: make publish MODEL=<member>, one of cnn_demo"),
        (
            ("formats", "SAVED_MODEL=a"),
            "say which module and where to: make formats SAVED_MODEL=<the folder of a module>",
        ),
        (("publish-all", "COLLECTION=vti"), "unknown COLLECTION=vti; the collections are: demo own vit"),
        (("validate", "MODEL=vit_s16", "ARTIFACTS=a b"), "the path must be one word"),
        (("fetch", "MODEL=vit_s16", "CHECKPOINTS=/nonexistent"), "CHECKPOINTS=/nonexistent: no such folder; expected"),
        (("validate", "MODEL=vit_s16", "IMAGENET=/nonexistent"), "IMAGENET=/nonexistent: no such folder"),
        (("validate", "MODEL=vit_s16", "SAMPLES=abc"), "SAMPLES=abc: expected a whole number from 1"),
        (("validate", "MODEL=vit_s16", "SPLIT=all"), "SPLIT=all: expected train, validation, test"),
        (("serve", "HUB=/nonexistent"), "HUB=/nonexistent: no such folder; expected a hub: run make publish first"),
        (
            ("check-hub", "ARTIFACTS=/nonexistent"),
            "ARTIFACTS=/nonexistent: no such folder; expected the folder of the members",
        ),
        (("publish", "MODEL=vit_s16", "HUB=s3://bucket"), "HUB=s3://bucket: cannot publish to a URL yet"),
        (("publish", "MODEL=vit_s16", "PYTHON=python3.99"), "PYTHON=python3.99: no such interpreter"),
        (("publish", "MODEL=vit_s16", "ZZZ=1"), "unknown setting ZZZ; the settings are MODEL COLLECTION CHECKPOINTS "),
        (
            ("validate", "MODEL=vit_s16", "IMAGNET=/"),
            "unknown setting IMAGNET (did you mean 'IMAGENET'?); the settings",
        ),
        (("fetch", "'IMAGNET=/"), "unknown setting 'IMAGNET (did you mean 'IMAGENET'?); the settings"),
        (
            ("publish-all", "REQUIRE_ACURACY=1"),
            "unknown setting REQUIRE_ACURACY (did you mean 'REQUIRE_ACCURACY'?); the settings",
        ),
        (("-n", "publish", "MODEL=vit_s16", "A=b c"), "unknown setting A; the settings are"),
    ],
)
def test_wrong_settings_fail_at_once(arguments: tuple[str, ...], message: str) -> None:
    done = make(ROOT, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


def test_a_misspelt_setting_in_the_environment_is_refused(tmp_path: Path) -> None:
    dry = ("-n", "validate", "MODEL=vit_s16", f"ARTIFACTS={tmp_path}")
    done = make(ROOT, *dry, IMAGNET="/val")
    assert done.returncode == 2
    assert "stamps: IMAGNET: unknown setting in the environment (did you mean 'IMAGENET'?)" in done.stderr
    assert make(ROOT, *dry, FOO="1", A="1", IMAGE="1").returncode == 0


def test_settings_of_a_make_that_runs_this_one_are_not_refused(tmp_path: Path) -> None:
    outer = tmp_path / "Makefile"
    outer.write_text(f"all:\n\t$(MAKE) -C {ROOT} -n fetch MODEL=vit_s16 ARTIFACTS={tmp_path}/artifacts\n")
    assert make(tmp_path, "CC=clang").returncode == 0


def test_a_public_address_has_a_scheme(fresh: Path) -> None:
    done = make(fresh, *ALL, "HUB_URL=localhost:8123")
    assert "HUB_URL=localhost:8123: expected an address that begins with http:// or https://" in done.stderr


def test_a_collection_is_named_like_its_folder(fresh: Path) -> None:
    path = fresh / "model_cards/tiny/collection.yaml"
    path.write_text(path.read_text().replace("name: tiny", "name: vit"))
    done = make(fresh, *ALL)
    assert done.returncode == 2
    assert "collection.yaml: name must be that of its folder, 'tiny', got 'vit'" in done.stderr
    path.unlink()
    assert "collection.yaml; it is missing in model_cards/tiny" in make(fresh, *ALL).stderr


def test_require_accuracy_counts_only_where_a_publication_follows(fresh: Path) -> None:
    options = {}
    for goal in ("convert", "publish"):
        done = make(fresh, "-n", goal, "MODEL=mini", "REQUIRE_ACCURACY=1")
        options[goal] = {"--require-accuracy" in line for line in done.stdout.splitlines() if "pipeline.check " in line}
    assert options == {"convert": {False}, "publish": {True}}


def test_offline_mode_is_passed_on(fresh: Path) -> None:
    for setting, offline in (("OFFLINE=1", True), ("OFFLINE=0", False), ("OFFLINE=", False)):
        assert ("--offline" in make(fresh, "-n", "fetch", "MODEL=mini", setting).stdout) is offline


def test_only_1_trusts_a_model(tmp_path: Path) -> None:
    arguments = ("-n", "evaluate", "MODULE=m", f"IMAGENET={tmp_path}", f"ARTIFACTS={tmp_path}/out")
    for setting, trusted in (("TRUST=1", True), ("TRUST=0", False), ("TRUST=", False)):
        assert ("--trust" in make(ROOT, *arguments, setting).stdout) is trusted


@pytest.mark.parametrize("word", ["false", "2", "1 0", "%"])
def test_switches_are_1_or_0(word: str) -> None:
    done = make(ROOT, "-n", "help", f"TRUST={word}")
    assert done.returncode == 2
    assert f"*** TRUST={word}: expected 1 for yes, or 0 or nothing for no." in done.stderr
    assert not done.stdout


def test_every_switch_is_checked() -> None:
    for name in SWITCHES:
        assert f"*** {name}=no: expected 1 for yes" in make(ROOT, "-n", "help", f"{name}=no").stderr
    for accepted in ("1", "0", ""):
        assert make(ROOT, "-n", "help", *(f"{name}={accepted}" for name in SWITCHES)).returncode == 0


def test_switches_of_the_environment_are_checked_where_they_count() -> None:
    done = make(ROOT, "-n", "help", OFFLINE="false")
    assert (
        "*** OFFLINE=false: expected 1 for yes, or 0 or nothing for no (it is set in the environment)." in done.stderr
    )
    assert make(ROOT, "-n", "help", DIFF="meld", TRUST="no").returncode == 0


def test_the_split_reaches_every_command_that_opens_images(tmp_path: Path) -> None:
    """And stamps, so that another split is measured again."""
    settings = (f"IMAGENET={tmp_path}", "SPLIT=train", f"ARTIFACTS={tmp_path}/out")
    for goal, commands in (
        (("validate", "MODEL=vit_s16"), ("stamps", "check", "validate")),
        (("evaluate", "MODULE=m"), ("stamps", "evaluate")),
    ):
        printed = make(ROOT, "-n", *goal, *settings).stdout
        assert printed.count("--split='train'") == len(commands)
        assert all(f"-m pipeline.{command} " in printed for command in commands)


def test_the_users_home_is_understood_whatever_the_shell(tmp_path: Path) -> None:
    done = make(ROOT, "validate", "MODEL=vit_s16", "IMAGENET=~/val", HOME=str(tmp_path))
    assert f"IMAGENET={tmp_path}/val: no such folder" in done.stderr
    (tmp_path / "CHECKPOINTS").mkdir()
    settings = [f"{name}=~/{name}" for name in ("CHECKPOINTS", "CACHE", "LOCK", "ARTIFACTS", "HUB")]
    done = make(ROOT, "-n", "publish", "MODEL=vit_s16", *settings, HOME=str(tmp_path))
    assert f"--checkpoints='{tmp_path}/CHECKPOINTS' --lock='{tmp_path}/LOCK'" in done.stdout
    assert f"--cache='{tmp_path}/CACHE'" in done.stdout
    assert f"'{tmp_path}/ARTIFACTS/vit_s16' '{tmp_path}/HUB'" in done.stdout
    assert "~" not in done.stdout


def test_a_password_is_not_echoed(tmp_path: Path) -> None:
    """Of a server's address; nobody listens there."""
    with serving_folder(tmp_path) as closed:
        pass
    settings = (f"ARTIFACTS={tmp_path}/artifacts", f"CACHE={tmp_path}/cache", f"LOCK={tmp_path}/lock")
    address = closed.replace("://", "://me:secret@")
    done = make(ROOT, "fetch", "MODEL=vit_b16", f"CHECKPOINTS={address}", *settings, CLOUDSDK_AUTH_ACCESS_TOKEN="none",
                STORAGE_EMULATOR_HOST=closed)  # fmt: skip
    assert f"  {closed}/B_16-i21k" in done.stderr  # it came through
    assert "secret" not in done.stdout + done.stderr
    for goal in ("fetch", "select"):
        done = make(
            ROOT, "-n", goal, "MODEL=vit_b16", f"CHECKPOINTS={address}", f"INDEX={address}/index.csv", *settings
        )
        assert "secret" not in done.stdout + done.stderr
    modules = (f"MODULE={address}/1.tar.gz", f"AGAINST={address}/2.tar.gz")
    done = make(ROOT, "-n", "evaluate", *modules, f"IMAGENET={tmp_path}")
    assert "evaluate env:MODULE " in done.stdout
    assert "--against=env:AGAINST " in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_each_stage_prints_a_line_and_its_command_with_v(fresh: Path) -> None:
    fetch = ("fetch", "MODEL=mini")
    assert make(fresh, *fetch).stdout == "fetch mini\n"
    for flags, expected in ((("V=0",), "fetch mini\n"), (("-s",), "")):
        (fresh / "artifacts/mini/checkpoint.npz").unlink()
        assert make(fresh, *fetch, *flags).stdout == expected
    (fresh / "artifacts/mini/checkpoint.npz").unlink()
    (command,) = make(fresh, *fetch, "V=1").stdout.splitlines()
    run = f"RUN_RECORD='artifacts/.runs/mini/fetch.json' '{warm.interpreter()}' -m pipeline.fetch"
    assert command.startswith(f"{run} model_cards/tiny/mini.yaml 'artifacts/mini/")


def test_settings_of_modules_become_options_of_evaluate(tmp_path: Path) -> None:
    """Each that evaluate's messages may name, for both modules; in the environment some words are other programs'."""
    values = {name: "1" if name == "background" else f"a{name}" for name in NAMES}
    given = [f"{prefix}{name.upper()}={value}" for prefix in ("", AGAINST) for name, value in values.items()]
    run = ("-n", "evaluate", "MODULE=m", "AGAINST=n", f"IMAGENET={tmp_path}")
    printed = make(ROOT, *run, *given).stdout
    for name, value in values.items():
        assert f" --{name}='{value}'" in printed
        assert f" --against-{name}='{value}'" in printed
    assert "--size" not in make(ROOT, *run, SIZE="a", TAGS="a", OUTPUT="a").stdout
