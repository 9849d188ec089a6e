"""What tests must not get from the person who runs them: settings, credentials, caches, the look of a terminal.

What is left is part of a machine, and the tests pass with any: locale, time zone, umask, cores, user, fonts. A test
that needs another machine makes it: fake_interpreter().
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from pipeline.download.network import CERTIFICATES

ROOT = Path(__file__).parents[1]
PREFIXES = ("AWS_", "AZURE_", "CLOUDSDK_", "GIT_", "GOOGLE_", "HF_", "JAX_", "TF_", "TFHUB_", "XDG_", "XLA_")
NAMES = {
    *CERTIFICATES,
    *("CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR"),
    *("MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "GNUMAKEFLAGS"),
    *(
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONINSPECT",
        "PYTHONIOENCODING",
        "PYTHONOPTIMIZE",
        "PYTHONSAFEPATH",
        "PYTHONWARNINGS",
    ),
    "STORAGE_EMULATOR_HOST",
}


def forget_the_person(home: Path) -> None:
    """Removes what a person has set, here and in the processes that tests start.

    Args:
        home: an empty folder that stands for the person's: tests write no cache to theirs, and read no ~/.gitconfig.
    """
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    settings = set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(PREFIXES) or name in NAMES | settings:
            del os.environ[name]
    if sys.platform == "linux":  # Playwright's own browsers, if there are any, are in the person's cache
        os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(Path("~/.cache/ms-playwright").expanduser()))
    os.environ |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


def pin_temporary_folder() -> None:
    """Uses /tmp where TMPDIR has a character that make cannot have in the path of an output, such as a space."""
    if not re.fullmatch(r"[\w./+,@~^-]+", tempfile.gettempdir()):
        os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"


def fake_interpreter(path: Path, output: str, status: int = 0) -> Path:
    """Writes a program that prints `output` for any command line."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}END\nexit {status}\n")
    path.chmod(0o755)
    return path
