"""The command `site`."""

from pathlib import Path

from tests.conftest import Stage, assert_refused
from tests.hubs import write_hub


def test_the_command_says_how_many_pages_it_wrote(tmp_path: Path, stage: Stage) -> None:
    hub = write_hub(tmp_path)
    (hub / "index.html").unlink()
    done = stage("site", hub)
    assert done.returncode == 0, done.stderr
    assert ", 1 pages written: " in done.stderr
    assert_refused(stage("site", hub / "site"), "there is no index.json, so this is not a hub; run make publish first")
