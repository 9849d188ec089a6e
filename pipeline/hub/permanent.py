"""Which files of a version never change once they are published: its tarball, and the files of its formats.

They may have gigabytes. So a release claims them, sends them from the disk, and refuses other bytes under their paths.
All other files are pages: they fit into memory, and a correction replaces them.
"""

from pipeline.hub.values import Entry


def permanent_files(entry: Entry) -> dict[str, Entry]:
    """Returns what a module's entry in the index lists of each file that never changes, by path, the tarball first."""
    listed = {file["path"]: file for file in entry["files"]}
    formats = (path for form in entry.get("formats", {}).values() for path in form["files"])
    return {path: listed[path] for path in (entry["files"][0]["path"], *formats) if path in listed}
