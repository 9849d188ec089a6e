"""Checks the workflows and the Dockerfile, without a network; `make lint` runs it.

    python -m benchmarks.lint_automation [ROOT]

ROOT is the checkout (default: this one). The tools are those of requirements.lock, beside the interpreter that runs
this. They run at the same time; the messages of those that fail are printed, and the exit status is 1.
"""

import argparse
import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import guarded
from pipeline.base.fault import Fault

ROOT = Path(__file__).parents[1]
WORKFLOWS, ACTIONS = ".github/workflows/*.yml", ".github/actions/*/action.yml"


@dataclass(frozen=True)
class Check:
    """A tool, and what it checks.

    Attributes:
        tool: the program's name.
        options: before the files.
        files: patterns, below the checkout; each must fit a file.
    """

    tool: str
    options: tuple[str, ...]
    files: tuple[str, ...]


CHECKS = (
    # Its scripts are not checked: shellcheck is no package, so that the verdict would depend on the machine.
    Check("actionlint", ("-no-color", "-shellcheck=", "-pyflakes="), (WORKFLOWS,)),
    Check("zizmor", ("--offline", "--no-progress", "--quiet", "--strict-collection"), (WORKFLOWS, ACTIONS)),
    Check("check-jsonschema", ("--builtin-schema", "vendor.github-workflows"), (WORKFLOWS,)),
    Check("check-jsonschema", ("--builtin-schema", "vendor.github-actions"), (ACTIONS,)),
    Check("hadolint", ("--no-color",), ("Dockerfile",)),
)


def start(check: Check, root: Path) -> subprocess.Popen[str]:
    """Starts a tool on the files of a checkout.

    Raises:
        Fault: when the tool or the files are not there.
    """
    program = Path(sysconfig.get_path("scripts")) / check.tool
    if not program.exists():
        raise Fault(f"{program}: no such program; install requirements.lock there")
    files = [str(path.relative_to(root)) for pattern in check.files for path in sorted(root.glob(pattern))]
    if not files:
        raise Fault(f"{root}: no file fits {' or '.join(check.files)}")
    environment = {name: value for name, value in os.environ.items() if name not in ("GH_TOKEN", "GITHUB_TOKEN")}
    return subprocess.Popen(
        [program, *check.options, *files], cwd=root, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def find_faults(root: Path, checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """Returns what the tools say of a checkout's automation, a text for each that fails."""
    running = [(check, start(check, root)) for check in checks]
    done = [(check, process.communicate()[0], process.returncode) for check, process in running]
    return [f"{check.tool} (exit status {status}):\n{output}" for check, output, status in done if status]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lint_automation", description="Checks the automation.")
    parser.add_argument("root", type=Path, nargs="?", default=ROOT, help="the checkout")
    if faults := find_faults(parser.parse_args().root.resolve()):
        raise Fault("the workflows or the Dockerfile have faults:\n" + "\n".join(faults))
    print(f"{', '.join(dict.fromkeys(check.tool for check in CHECKS))}: no faults")


if __name__ == "__main__":
    raise SystemExit(guarded("lint_automation", main))
