"""The small parts: durations, problem texts, the last words of a runtime."""

import pytest

from mizzen_api.conditions import SENTENCES, Reason
from mizzen_api.contract import StartFailure, api_key_path, fit_start_failure
from mizzen_api.duration import seconds
from mizzen_api.problems import Problem, join_problems, path_of


@pytest.mark.parametrize(
    ("text", "expected"), [("500ms", 0.5), ("30s", 30.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("2m", 120.0)]
)
def test_a_duration_is_read_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "30", "s", "-3s", "1d", "3 s", "1m 30s", "٣s"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write it as 500ms, 30s or 1m30s"):
        seconds(text)


def test_a_path_reads_as_in_yaml() -> None:
    assert path_of(("models", 0, "apiKey"), "spec") == "spec.models[0].apiKey"
    assert path_of(("spec", "pod")) == "spec.pod"


def test_problems_are_joined_as_sentences() -> None:
    problem = Problem(field="spec.models[0].apiKey", message="Secret 'llm' has no key 'token'", remedy="add the key")
    assert join_problems([problem, problem]) == (
        "spec.models[0].apiKey: Secret 'llm' has no key 'token'; add the key. "
        "spec.models[0].apiKey: Secret 'llm' has no key 'token'; add the key"
    )


def test_a_start_failure_always_fits_and_says_how_many_problems_it_left_out() -> None:
    problems = tuple(Problem(field=f"spec.models[{i}]", message="ü" * 200, remedy="mend it") for i in range(40))
    text = fit_start_failure(problems)
    failure = StartFailure.model_validate_json(text)
    assert len(text.encode()) <= 4096
    assert len(failure.problems) + failure.omitted == 40
    assert 0 < len(failure.problems) < 40


def test_a_long_problem_is_cut_and_hides_no_other() -> None:
    long = Problem(field="spec.agent", message="x" * 5000, remedy="mend it")
    short = Problem(field="spec.models", message="no model is named", remedy="name one")
    failure = StartFailure.model_validate_json(fit_start_failure((long, short)))
    assert failure.problems == (Problem(field="spec.agent", message="x" * 399 + "…", remedy="mend it"), short)
    assert failure.omitted == 0


def test_a_problem_that_does_not_fit_makes_room_for_the_next() -> None:
    large = [Problem(field="f", message="ü" * 400, remedy="ü" * 400) for _ in range(3)]
    small = Problem(field="spec.models", message="no model is named", remedy="name one")
    failure = StartFailure.model_validate_json(fit_start_failure((*large, small)))
    assert failure.problems == (large[0], large[1], small)
    assert failure.omitted == 1


def test_there_is_a_problem_however_wide_its_characters_are() -> None:
    wide = Problem(field="\x01" * 400, message="\x01" * 400, remedy="\x01" * 400)
    text = fit_start_failure((wide,))
    assert len(text.encode()) <= 4096
    assert StartFailure.model_validate_json(text).problems[0].message == "\x01" * 199 + "…"


def test_a_start_failure_that_fits_is_whole() -> None:
    problems = (Problem(field="a", message="b", remedy="c"),)
    assert StartFailure.model_validate_json(fit_start_failure(problems)) == StartFailure(problems=problems)


def test_a_limit_that_holds_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="10 bytes cannot hold the report of a failed start"):
        fit_start_failure((), limit=10)


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_a_models_key_is_mounted_by_its_place_in_the_chain() -> None:
    assert api_key_path(1) == "/etc/mizzen/models/1/api-key"
