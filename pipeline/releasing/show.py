"""Shows a plan to a person."""

from collections.abc import Iterator

from pipeline.releasing.plan import Change, Plan, PlannedFile

_SHOWN = 300  # lines of files; the plan's file has all


def describe_plan(plan: Plan) -> Iterator[str]:
    """Yields the lines: each file with what becomes of it, its size and digest; the index; the totals."""
    yield f"release of {plan.hub} to {plan.target}" + (f", the hub of {plan.url}" if plan.url else "")
    order = list(Change)[::-1]
    files = sorted(plan.files, key=lambda file: (order.index(file.change), file.path))
    shown: set[str] = set()
    for file in files[:_SHOWN]:
        yield _describe_file(file, "as above" if file.reason in shown else file.reason)
        shown |= {file.reason} - {""}
    if files[_SHOWN:]:
        yield f"  and {len(files) - _SHOWN:,} more files, see the plan"
    for part in plan.index:
        yield f"  {part.change:<9}  {'':>10}  {part.after[:16] or '-':<16}  {part.path}"
    yield "; ".join(_totals(plan))


def _describe_file(file: PlannedFile, reason: str) -> str:
    after = f": {reason}" if reason else ""
    return f"  {file.change:<9}  {format_size(file.size):>10}  {file.sha256[:16]}  {file.path}{after}"


def _totals(plan: Plan) -> Iterator[str]:
    for change in Change:
        if files := plan.with_change(change):
            yield f"{len(files):,} {change} ({format_size(sum(file.size for file in files))})"
    yield f"{len(plan.claims):,} claims to make, then the pages"


def format_size(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
