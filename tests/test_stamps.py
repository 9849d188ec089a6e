"""What stamps reads: each file once in a process."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline import stamps
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints.lock_file import LockFile
from tests.conftest import write_members


def test_each_file_is_parsed_once_for_all_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: Counter[str] = Counter()

    def count(kind: Any) -> None:
        read = kind.__init__

        def read_and_count(self: Any, path: Path) -> None:
            parsed[str(path.relative_to(tmp_path))] += 1
            read(self, path)

        monkeypatch.setattr(kind, "__init__", read_and_count)

    for folder, names in (("a", ("a1", "a2", "a3")), ("b", ("b1",))):
        write_members(tmp_path / "cards" / folder, dict.fromkeys(names, ("Mini/8", 16)))
        (tmp_path / "cards" / folder / "checkpoints.lock").write_text("{}")
    cards = tmp_path / "cards"
    (cards / "a/.hidden.yaml").write_text("of an editor")
    for kind in (YamlFile, LockFile):
        count(kind)
    stamps.main([str(tmp_path / "stamps"), str(cards), "--collection", "a"])
    files = [path for kind in ("*.yaml", "checkpoints.lock") for path in cards.glob(f"*/{kind}")]
    files.remove(cards / "a/.hidden.yaml")
    assert parsed == Counter(str(path.relative_to(tmp_path)) for path in files)
    assert len(files) == 8
