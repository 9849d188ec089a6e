"""A page of the website that is to be rendered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page to render.

    Attributes:
        path: in the hub.
        template: the name of its template.
        inputs: all that its content depends on, as text; equal inputs give equal pages.
        facts: returns what the template shows.
    """

    path: str
    template: str
    inputs: str
    facts: Callable[[], dict[str, Any]]
