"""strict_json: JSON that does not fit its dataclass is refused by key."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import pytest

from pipeline.base.strict_json import STRICT, parse_json


@dataclass(frozen=True)
class Inner:
    value: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    count: int

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


def test_a_dataclass_comes_back_as_it_was_written() -> None:
    outer = Outer(Inner(0.1, ("a", "b")), 3)
    assert parse_json(Outer, json.dumps(asdict(outer))) == outer
    assert math.isnan(parse_json(Outer, '{"inner": {"value": NaN}, "count": 0}').inner.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"inner": {}, "count": 1}', "inner.value is missing"),
        ('{"inner": {"value": 1, "size": 2}, "count": 1}', "inner.size is an unknown key"),
        ('{"inner": {"value": "1"}, "count": 1}', "inner.value: input should be a valid number, got '1'"),
        ('{"inner": {"value": 1}, "count": 1.5}', "count: input should be a valid integer, got '1.5'"),
        ('{"inner"', "invalid JSON"),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        parse_json(Outer, text)
