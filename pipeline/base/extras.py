"""Optional requirements of the project by extra: what is missing, and the command that installs it."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata

from pipeline.base.data import data_path

NAME = "vit-publisher"
_IS_CHECKOUT = data_path("pyproject.toml").is_file()


def install_line(extra: str) -> str:
    """Returns the shell command that installs what an extra needs, in a checkout or where the wheel was installed."""
    return f'pip install "{"." if _IS_CHECKOUT else NAME}[{extra}]"'


def missing_packages(extra: str) -> list[str]:
    """Returns the packages of an extra that are not installed, in the metadata's order; [] in a checkout.

    There make installs the lock file, which has all that the project needs.
    """
    return (
        [] if _IS_CHECKOUT else [package for package in dict.fromkeys(_packages(extra)) if not _is_installed(package)]
    )


def _packages(extra: str) -> Iterator[str]:
    """Yields the packages of an extra and of the extras that it consists of."""
    for requirement in _requirements():
        package, _, condition = requirement.partition(";")
        if f'extra == "{extra}"' not in condition.replace("'", '"'):
            continue
        name, extras = re.match(r"\s*([\w.-]+)(?:\[([\w,.-]+)\])?", package).groups()  # type: ignore[union-attr]
        if name == NAME:
            for part in extras.split(","):
                yield from _packages(part)
        else:
            yield name


@cache
def _requirements() -> list[str]:
    try:
        return metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return []


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True
