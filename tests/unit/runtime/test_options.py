from pathlib import Path

import pytest

from mizzen_api.timing import (
    HANDOVER_SECONDS,
    PROPAGATION_SECONDS,
    SERVICES_CLOSE_SECONDS,
    STARTUP_SECONDS,
    termination_grace_seconds,
)
from mizzen_runtime.agent.in_force import MODEL_CLOSE_SECONDS
from mizzen_runtime.leaving import EXIT_SECONDS, drain_grace
from mizzen_runtime.options import parse_options
from mizzen_runtime.server import MANAGEMENT_GRACE_SECONDS


def test_without_arguments_it_is_a_pod() -> None:
    options = parse_options([])

    assert (options.host, options.port, options.management_port) == (None, 8080, 8081)
    assert (options.config, options.termination_log) == (None, None)
    assert (options.handover, options.propagation_delay) == (HANDOVER_SECONDS, PROPAGATION_SECONDS)
    assert options.max_body_bytes == 1024 * 1024


@pytest.mark.parametrize("request_timeout", [0.5, 60, 86400])
def test_the_pods_grace_period_holds_a_whole_drain(request_timeout: float) -> None:
    options = parse_options([])
    accepting = options.handover + options.propagation_delay
    closing = SERVICES_CLOSE_SECONDS + MODEL_CLOSE_SECONDS + MANAGEMENT_GRACE_SECONDS + EXIT_SECONDS
    longest = accepting + drain_grace(request_timeout) + closing

    assert drain_grace(request_timeout) > request_timeout, "the last request still gets its answer"
    assert longest + 1 <= termination_grace_seconds(request_timeout), "uvicorn's ticks take their time too"


def test_own_code_that_hangs_is_told_before_the_startup_probe_gives_up() -> None:
    assert parse_options([]).own_code_timeout <= STARTUP_SECONDS / 2


def test_two_ports_of_one_number_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        parse_options(["--port", "9000", "--management-port", "9000"])

    assert exit_of.value.code == 2
    assert "--port and --management-port are both 9000: name another port" in capsys.readouterr().err


def test_every_option_can_be_given() -> None:
    options = parse_options(
        ["--config", "a.json", "--port", "0", "--handover", "2", "--propagation-delay", "0", "--max-body-bytes", "5"]
    )

    assert options.config == Path("a.json")
    assert (options.port, options.handover, options.propagation_delay, options.max_body_bytes) == (0, 2, 0, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "65536 is not a port (0 to 65535)"),
        (["--own-code-timeout", "nan"], "nan is not a number of seconds above 0"),
        (["--propagation-delay", "-1"], "-1 is not a number of seconds of 0 or more"),
        (["--own-code-timeout", "0"], "0 is not a number of seconds above 0"),
        (["--max-body-bytes", "0"], "0 is not a number of bytes above 0"),
        (["--colour", "blue"], "unrecognized arguments: --colour blue"),
    ],
)
def test_a_wrong_option_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        parse_options(arguments)

    assert exit_of.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "arguments", "threads"),
    [(None, [], 32), ("5", [], 5), ("5", ["--threads", "7"], 7)],
    ids=["default", "variable", "argument"],
)
def test_the_threads_of_own_code_are_said_by_variable_or_argument(
    variable: str | None, arguments: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIZZEN_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("MIZZEN_THREADS", variable)
    assert parse_options(arguments).threads == threads


@pytest.mark.parametrize("variable", ["0", "1001", "many", ""])
def test_a_wrong_number_of_threads_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIZZEN_THREADS", variable)
    with pytest.raises(SystemExit):
        parse_options([])
    assert "--threads" in capsys.readouterr().err
