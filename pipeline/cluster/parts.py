"""The images of validate in several parts, each a command of its own that another node may run."""

from collections.abc import Sequence

_PLACES = 5  # validate's arguments before its options: MEMBER.yaml CHECKPOINT CLASSIFICATION FE REPORT


def part_commands(arguments: Sequence[str], parts: int) -> list[tuple[str, ...]]:
    """Returns the command lines of `pipeline.classify` that compute what validate with these arguments then finds.

    Args:
        arguments: validate's command line.
        parts: their number, from 2; below that there are none.
    """
    if parts < 2:
        return []
    member, _, classification, _, report = arguments[:_PLACES]
    return [
        (member, classification, report, "--part", f"{part}/{parts}", *arguments[_PLACES:])
        for part in range(1, parts + 1)
    ]
