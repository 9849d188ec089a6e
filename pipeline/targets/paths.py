"""Which paths a file of a hub may have in a target: those that every kind of target can hold, and none outside it."""

from pipeline.base.fault import Fault, show_name

LONGEST = 800  # bytes of a path; S3 and Azure have 1,024 with the prefix
_LONGEST_NAME = 200  # bytes of each part; file systems have 255, and a file that is being written has a longer name


def check_path(path: str) -> str:
    """Returns the path of a file.

    Raises:
        Fault: when it would lead out of the hub, or some target cannot hold it.
    """
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise Fault(f"{show_name(path)}: expected a path in the hub, such as index/3f.json: names joined by /")
    if len(path.encode()) > LONGEST or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise Fault(
            f"{show_name(path)}: the path is too long for a target, at most {LONGEST} bytes and {_LONGEST_NAME} a name"
        )
    return path


def check_prefix(prefix: str) -> str:
    """Returns a prefix of paths, such as "", "claims/" or "index/3"; raises Fault as check_path() does."""
    check_path(prefix + "x" if not prefix or prefix.endswith("/") else prefix)
    return prefix
