from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.model import Config
from config.wording import explain, known_keys


def complaint(data: object) -> ErrorDetails:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    (error,) = caught.value.errors()
    return error


def test_words_of_an_operator() -> None:
    finding = explain(complaint({"relay": {"max_flows": None}}))
    assert finding.path == ("relay", "max_flows")
    assert finding.what == "must be a whole number, got None"


def test_a_bound_with_a_fraction_keeps_it() -> None:
    error = complaint({"relay": {"flow_idle": 1}})
    error["ctx"] = {"ge": 0.5}
    assert explain(error).what == "must be at least 0.5, got 1"


def test_a_complaint_without_own_words_is_passed_on() -> None:
    error = complaint({"relay": {"max_flows": None}})
    error["type"], error["msg"] = "brand_new", "Input is odd"
    assert explain(error).what == "Input is odd, got None"


def test_known_keys() -> None:
    assert "relay" in known_keys()
    assert list(known_keys(("log",))) == ["level", "format"]
    assert not known_keys(("log", "level"))
    assert not known_keys(("nothing",))
