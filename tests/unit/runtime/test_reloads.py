"""Attempts to take up changes, as they are noted."""

import logging

import pytest

from mizzen_api.problems import Problem
from mizzen_runtime.reloads import Reloads


def test_a_failure_is_logged_once_and_again_when_it_is_another_or_came_back(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[bool] = []
    reloads = Reloads(lambda *, ok: counted.append(ok))
    away, wrong = ([Problem(field="f", message=message, remedy="r")] for message in ("away", "wrong"))
    with caplog.at_level(logging.ERROR):
        noted = [reloads.note("cache", problems) for problems in (away, away, wrong, (), wrong)]
    assert noted == counted == [False, False, False, True, False]
    assert [vars(record)["reason"] for record in caplog.records] == ["f: away; r", "f: wrong; r", "f: wrong; r"]
