"""The three outcomes of a check."""

from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of a check, as report.json has it."""

    PASS = "pass"
    FAIL = "fail"
    NOT_MEASURED = "not measured"

    @classmethod
    def of(cls, passed: bool) -> "Verdict":
        """Returns PASS or FAIL. Write the condition so that NaN fails: `difference <= tolerance`."""
        return cls.PASS if passed else cls.FAIL
