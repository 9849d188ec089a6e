"""Refuses to import TensorFlow, JAX and Playwright: a fast test that needs them must be marked slow.

Python imports a module of this name at its start. With this folder on PYTHONPATH it so covers the processes that a test
starts, too. Packages can still be located, which is how SavedModels are parsed without TensorFlow.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

SLOW = ("tensorflow", "jax", "playwright")


class _Refusal(Loader):
    """Raises where the module would run."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # No ImportError: code that can do without a package would go on.
        raise RuntimeError(f"a fast test imports {module.__name__}; mark it slow (see tests/conftest.py)")


class _Finder(MetaPathFinder):
    """Locates the slow packages, with a loader that refuses to run them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in SLOW else None
        if spec:
            spec.loader = _Refusal()
        return spec


def install() -> None:
    """Refuses the slow packages in this process from now on."""
    sys.meta_path.insert(0, _Finder())


if __name__ == "sitecustomize":  # Python's own import at its start; tests import SLOW without being refused anything
    install()
