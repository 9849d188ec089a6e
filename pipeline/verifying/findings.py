"""What a check from outside has found."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.trust.roles import RoleState
from pipeline.trust.statement import render_time


@dataclass
class Findings:
    """Collects what is wrong with a hub or a module, and what was checked.

    Attributes:
        address: of the hub or the module.
        problems: a sentence each, which makes the check fail.
        notes: a sentence each about what a person should know all the same.
        modules, files, bytes, statements: how many were checked.
        signed_by: how many statements each key has signed, by its owner's name.
        roles: who signed the index, when there is a pinned root.
        is_verified: whether signatures were verified.
    """

    address: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    modules: int = 0
    files: int = 0
    bytes: int = 0
    statements: int = 0
    signed_by: Counter[str] = field(default_factory=Counter)
    roles: list[RoleState] = field(default_factory=list)
    is_verified: bool = False

    def lines(self) -> Iterator[str]:
        """Yields what was checked and who signed it, for people."""
        for role in self.roles:
            signed = f" on {role.signed:%Y-%m-%d %H:%M} UTC" if role.signed else ""
            who = ", ".join(role.signers)
            yield f"{role.role} version {role.version}: signed by {who}{signed}, counts until {role.expires:%Y-%m-%d}"
        for name, count in sorted(self.signed_by.items()):
            yield f"{_count(count, 'statement')} signed by {name}"
        yield from (f"note: {note}" for note in self.notes)

    def summary(self) -> str:
        """Returns how much was checked, and whether signatures were, in a line."""
        checked = (
            f"{_count(self.modules, 'module')}, {_count(self.files, 'file')}, {self.bytes / 1e6:,.1f} MB,"
            f" {_count(self.statements, 'statement')}"
        )
        signatures = (
            "signatures verified (the website has none)" if self.is_verified else "signatures NOT verified (no --root)"
        )
        return f"{self.address}: {_count(len(self.problems), 'problem')}; {checked}; {signatures}"

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as JSON has it."""
        return {
            "address": self.address,
            "problems": self.problems,
            "notes": self.notes,
            "signatures": "verified" if self.is_verified else "not verified",
            "checked": {
                "modules": self.modules,
                "files": self.files,
                "bytes": self.bytes,
                "statements": self.statements,
            },
            "statements_signed_by": dict(sorted(self.signed_by.items())),
            "roles": [
                {
                    "role": role.role,
                    "version": role.version,
                    "signed_by": list(role.signers),
                    "signed_on": render_time(role.signed) if role.signed else None,
                    "expires": render_time(role.expires),
                }
                for role in self.roles
            ],
        }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
