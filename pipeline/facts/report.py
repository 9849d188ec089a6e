"""Reads report.json, what validate measured."""

import json
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault


def read_report(path: Path) -> dict[str, Any]:
    """Reads a report that validate wrote."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault(f"{path}: no report; run make validate first") from None
    except json.JSONDecodeError as error:
        raise Fault(f"{path}: not valid JSON ({error}); delete it and run make validate") from None
    parts = {"accuracy", "checkpoint", "environment", "features", "model", "modules", "parity_inputs", "plots"}
    if missing := parts - set(report):
        lacking = f"it lacks {', '.join(map(repr, sorted(missing)))}"
        raise Fault(f"{path}: no report of make validate: {lacking}; delete it and run make validate")
    return report
