"""summary: says what of a collection is published, what failed and why, and what each stage took.

    python -m pipeline.summary COLLECTION.yaml ARTIFACTS HUB OUT

Reads the records that the stages leave in ARTIFACTS/.runs (pipeline.base.run_records) and the receipts; runs nothing.
OUT is an HTML page without other files. Prints its main lines, the first LISTED failures among them.
"""

import argparse
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.run_records import Outcome, RunRecord
from pipeline.base.templates import render
from pipeline.dag.runs import RECORDS, Runs, State, read_page_runs, read_runs
from pipeline.facts.collection import collection_of
from pipeline.hub.folder import hub_folder

LISTED = 20  # failures among the lines that are printed


@dataclass(frozen=True)
class StageTotal:
    """What a stage took, over the last runs of all members that have ended.

    Attributes:
        name: the stage's.
        runs: how many.
        seconds: all together.
        median: of the seconds of one.
        longest, longest_of: the seconds of the longest run, and its member.
        peak, peak_of: the bytes of the largest process, and its member.
    """

    name: str
    runs: int
    seconds: float
    median: float
    longest: float
    longest_of: str
    peak: int
    peak_of: str


def add_up(members: Sequence[Runs]) -> list[StageTotal]:
    """Returns the totals of the stages that have run."""
    return [total for name in RECORDS if (total := _add_up_stage(name, members))]


def _add_up_stage(name: str, members: Sequence[Runs]) -> StageTotal | None:
    runs = [(member.records[name], member.name) for member in members if name in member.records]
    ended = [(record, member) for record, member in runs if record.peak_memory]  # and was measured
    if not ended:
        return None
    seconds = [record.seconds for record, _ in ended]
    longest, longest_of = max(ended, key=lambda pair: pair[0].seconds)
    largest, largest_of = max(ended, key=lambda pair: pair[0].peak_memory)
    return StageTotal(
        name,
        len(ended),
        sum(seconds),
        statistics.median(seconds),
        longest.seconds,
        longest_of,
        largest.peak_memory,
        largest_of,
    )


def show_seconds(seconds: float) -> str:
    """Returns a time for people: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def show_run(record: RunRecord | None) -> str:
    """Returns the time and peak memory of a run, such as "12 s, 1.18 GB"; how it ended where that was otherwise."""
    if record is None:
        return ""
    if record.outcome is Outcome.RUNNING:
        return str(State.RUNNING)
    if not record.peak_memory:  # refused before it ran, or lost
        return str(record.outcome)
    text = f"{show_seconds(record.seconds)}, {record.peak_memory / 1e9:.2f} GB"
    return text if record.outcome is Outcome.DONE else f"{text}, {record.outcome}"


def describe_state(runs: Runs) -> str:
    """Returns what became of a member, in words."""
    text = f"{runs.state} ({runs.failed})" if runs.failed else str(runs.state)
    return f"{text}; what was published before stays" if runs.earlier and runs.state is not State.PUBLISHED else text


def count_states(members: Sequence[Runs]) -> str:
    """Returns how many members are in which state, such as "2 of 3 members published, 1 failed"."""
    counts = Counter(member.state for member in members)
    others = [f"{counts[state]:,} {state}" for state in State if state is not State.PUBLISHED and counts[state]]
    return ", ".join([f"{counts[State.PUBLISHED]:,} of {len(members):,} members published", *others])


def describe_page(page: Runs, members: Sequence[Runs]) -> str:
    """Returns what became of the collection's page, a sentence."""
    if page.state is State.FAILED:
        return f"The collection's page failed ({page.failed}): {page.sentence}"
    if page.failed:
        return f"The collection's page: {page.state} ({page.failed})."
    has_all = all(member.state is State.PUBLISHED for member in members)
    command = f"make publish-page COLLECTION={page.name}"
    if page.state is State.PARTIAL:
        whole = f"make publish-all COLLECTION={page.name} makes it of all"
        again = whole if has_all else f"{command} makes it of those that are published now"
        return f"The collection's page has those members alone that were published when it was made; {again}."
    if has_all:
        return f"The collection's page is {page.state}."
    if page.state is State.PUBLISHED:
        return f"The collection's page is an earlier one; {command} makes it of the members that are published now."
    return f"The collection's page waits for all members; {command} publishes it of those that are published."


def list_lines(name: str, members: Sequence[Runs], page: Runs, out: Path) -> Iterator[str]:
    """Yields the lines to print."""
    yield f"summary {name}: {count_states(members)}; {out} has all of it"
    failed = [member for member in members if member.failed]
    for member in failed[:LISTED]:
        first, more, _ = member.sentence.partition("\n")  # the page has all lines
        yield f"  {member.name}: {describe_state(member)}{': ' if first else ''}{first}{' ...' if more else ''}"
    if len(failed) > LISTED:
        yield f"  and {len(failed) - LISTED} more"
    yield f"  {describe_page(page, members)}"


def render_page(name: str, members: Sequence[Runs], page: Runs) -> str:
    """Returns the page, HTML."""
    stages = [stage for stage in RECORDS if any(stage in member.records for member in members)]
    rows = [
        (
            member.name,
            describe_state(member),
            bool(member.failed),
            [show_run(member.records.get(stage)) for stage in stages],
        )
        for member in members
    ]
    return render(
        "summary/page.html.jinja",
        name=name,
        counts=count_states(members),
        page=describe_page(page, members),
        failed=[(member.name, describe_state(member), member.sentence) for member in members if member.failed],
        totals=add_up(members),
        stages=stages,
        rows=rows,
        show_seconds=show_seconds,
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.summary", description="Says what became of a collection.")
    parser.add_argument("collection", type=Path, help="collection.yaml")
    parser.add_argument("artifacts", type=Path, help="the folder of all members' folders")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("out", type=Path, help="the page to write, HTML")
    args = parser.parse_args(arguments)
    collection, _ = collection_of(args.collection, None)
    paths = sorted(path for path in args.collection.parent.glob("[!.]*.yaml") if path != args.collection)
    if not paths:
        raise Fault(f"{args.collection.parent}: no member; expected a <member>.yaml beside collection.yaml")
    hub = hub_folder(args.hub)
    members = [read_runs(path, collection, args.artifacts, hub) for path in paths]
    page = read_page_runs(collection.name, args.artifacts, hub)
    write_text(args.out, render_page(collection.name, members, page))
    for line in list_lines(collection.name, members, page, args.out):
        print(line)


if __name__ == "__main__":
    raise SystemExit(guarded("summary", lambda: main(command_line())))
