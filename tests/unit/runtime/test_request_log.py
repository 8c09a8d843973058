import logging
import time

import pytest

from mizzen_runtime.attempts import Attempts
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.log import fields_of
from mizzen_runtime.request_log import log_end, log_unread


def attempts_of(*outcomes: Outcome | None) -> Attempts:
    attempts = Attempts(time.perf_counter() + 60)
    for place, outcome in enumerate(outcomes):
        attempts.begin(f"vllm:{place}", place).end(outcome, {"status": 500} if outcome is not Outcome.OK else None)
    return attempts


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="mizzen.requests")
    return caplog


def test_a_request_leaves_one_line_with_what_it_took_and_no_content(told: pytest.LogCaptureFixture) -> None:
    log_end(Outcome.OK, 0.1234567, attempts_of(Outcome.OK, Outcome.OK), tokens=(11, 7), failure=None, cause=None)

    (line,) = told.records
    assert (line.levelname, line.message) == ("INFO", "answered")
    assert fields_of(line) == {
        "outcome": "ok",
        "seconds": 0.123457,
        "model": "vllm:1",
        "input_tokens": 11,
        "output_tokens": 7,
    }


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Outcome.AGENT_FAILED, "ERROR"),
        (Outcome.CANCELLED, "INFO"),
        (Outcome.DEADLINE_EXCEEDED, "WARNING"),
        (Outcome.MODEL_UNAVAILABLE, "WARNING"),
        (Outcome.SERVICE_UNAVAILABLE, "WARNING"),
    ],
)
def test_an_ending_without_an_answer_is_as_loud_as_it_concerns_somebody(
    told: pytest.LogCaptureFixture, outcome: Outcome, level: str
) -> None:
    failure = RunError(outcome, "what happened") if outcome is not Outcome.CANCELLED else None

    log_end(outcome, 1.0, attempts_of(outcome), tokens=(0, 0), failure=failure, cause=ValueError("SECRET"))

    (line,) = told.records
    assert line.levelname == level
    assert line.message == ("the client left before its answer" if failure is None else "what happened")
    assert (line.exc_info is not None) == (outcome is Outcome.AGENT_FAILED)
    told_attempts = fields_of(line)["attempts"]
    assert isinstance(told_attempts, list)
    assert [(each["outcome"], each["status"]) for each in told_attempts] == [(outcome, 500)]


def test_an_answer_behind_a_failure_is_a_warning_with_all_attempts(told: pytest.LogCaptureFixture) -> None:
    attempts = attempts_of(Outcome.MODEL_UNAVAILABLE, Outcome.OK)

    log_end(Outcome.OK, 1.0, attempts, tokens=(11, 7), failure=None, cause=None)

    (line,) = told.records
    assert (line.levelname, line.message) == ("WARNING", "answered after a model had failed")
    assert fields_of(line)["model"] == "vllm:1"
    assert fields_of(line)["attempts"] == attempts.as_log()


def test_from_debug_on_every_answer_tells_its_attempts(told: pytest.LogCaptureFixture) -> None:
    told.set_level(logging.DEBUG, logger="mizzen.requests")
    attempts = attempts_of(Outcome.OK)

    log_end(Outcome.OK, 1.0, attempts, tokens=(11, 7), failure=None, cause=None)

    assert fields_of(told.records[0])["attempts"] == attempts.as_log()


def test_a_request_that_asked_no_model_names_none(told: pytest.LogCaptureFixture) -> None:
    log_end(Outcome.OK, 1.0, attempts_of(), tokens=(0, 0), failure=None, cause=None)

    assert fields_of(told.records[0])["model"] is None


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.INVALID_INPUT, Outcome.DEADLINE_EXCEEDED])
def test_a_request_that_is_not_read_leaves_one_line_too(told: pytest.LogCaptureFixture, outcome: Outcome) -> None:
    log_unread(outcome, 0.5, ValueError("secret"))

    (line,) = told.records
    assert line.levelname == "INFO"
    assert fields_of(line) == {"outcome": outcome, "seconds": 0.5}


def test_own_code_that_fails_over_an_input_is_told_with_its_place(told: pytest.LogCaptureFixture) -> None:
    log_unread(Outcome.AGENT_FAILED, 0.5, KeyError("secret"))

    (line,) = told.records
    assert line.levelname == "ERROR"
    assert line.exc_info
    assert line.exc_info[0] is KeyError


def test_from_warning_on_an_answer_leaves_no_line(told: pytest.LogCaptureFixture) -> None:
    told.set_level(logging.WARNING, logger="mizzen.requests")

    log_end(Outcome.OK, 1.0, attempts_of(Outcome.OK), tokens=(0, 0), failure=None, cause=None)

    assert told.records == []
