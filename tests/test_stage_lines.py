"""The benchmarks read the lines that the stages print."""

import pytest

from benchmarks.stage_lines import read_stage_lines
from pipeline.base.command import command


@pytest.mark.parametrize("subject", ["vit_s16", "vit_s16/fe.tar.gz", "vit_s16 in /tmp/hub: 1 new"])
def test_a_stages_last_line_is_read(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("package", lambda _: subject) == 0
    (line,) = read_stage_lines(f"note: 2 s, peak memory 3 GB\n{capsys.readouterr().err}")
    assert (line.stage, line.subject) == ("package", "vit_s16")
    assert line.seconds == pytest.approx(0, abs=1)
    assert 0 < line.peak < 100
