"""The one line that a request leaves in the log when it ends, however it does. It holds no content."""

import logging

from mizzen_runtime.agent.failures import AGENT_FAILED
from mizzen_runtime.attempts import Attempts
from mizzen_runtime.errors import Outcome, RunError

_OVERFLOWING = frozenset({Outcome.CANCELLED, Outcome.OVERLOADED, Outcome.DRAINING})
"""What ends many requests at once and is nobody's fault: callers leave, or more ask than the agent's limits allow."""
_MESSAGES = {
    Outcome.OK: "answered",
    Outcome.CANCELLED: "the client left before its answer",
    Outcome.INVALID_INPUT: "refused as it came in",
    Outcome.DEADLINE_EXCEEDED: "did not come in within the request's time",
}
"""Where no error says what happened."""

log = logging.getLogger("mizzen.requests")


def log_unread(outcome: Outcome, seconds: float, cause: BaseException) -> None:
    """Log a request that ended before it was read.

    Args:
        outcome: How it ended.
        seconds: How long it took, from its arrival.
        cause: What was raised; it is told, as types and places, where it is a fault of the agent.
    """
    fields = {"outcome": outcome, "seconds": round(seconds, 6)}
    if outcome is Outcome.AGENT_FAILED:
        log.error(AGENT_FAILED, extra=fields, exc_info=cause)
    else:
        log.info(_MESSAGES.get(outcome, "ended as it came in"), extra=fields)


def log_end(
    outcome: Outcome,
    seconds: float,
    attempts: Attempts,
    *,
    tokens: tuple[int, int],
    failure: RunError | None,
    cause: BaseException | None,
) -> None:
    """Log a request that was run.

    Args:
        outcome: How it ended.
        seconds: How long it took, from its arrival.
        attempts: What it asked of models; all of them are told where one did not answer, and from DEBUG on.
        tokens: What the models charged, in and out.
        failure: Why there is no answer.
        cause: What was raised; it is told, as types and places, where it is a fault of the agent.
    """
    level = _level(outcome, attempts)
    if not log.isEnabledFor(level):
        return
    fields: dict[str, object] = {
        "outcome": outcome,
        "seconds": round(seconds, 6),
        "model": attempts.last_model,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
    }
    if attempts.any_failed or log.isEnabledFor(logging.DEBUG):
        fields["attempts"] = attempts.as_log()
    ours = outcome is Outcome.AGENT_FAILED
    message = _message(outcome, attempts, failure)
    error = (type(cause), cause, cause.__traceback__) if ours and cause is not None else None
    # `log.log` would look for the caller's place first, which is not written.
    log.handle(log.makeRecord(log.name, level, "", 0, message, (), error, extra=fields))


def _level(outcome: Outcome, attempts: Attempts) -> int:
    if outcome is Outcome.AGENT_FAILED:
        return logging.ERROR
    if outcome in _OVERFLOWING or (outcome is Outcome.OK and not attempts.any_failed):
        return logging.INFO
    return logging.WARNING


def _message(outcome: Outcome, attempts: Attempts, failure: RunError | None) -> str:
    if failure is not None:
        return failure.detail
    if outcome is Outcome.OK and attempts.any_failed:
        return "answered after a model had failed"
    return _MESSAGES.get(outcome, outcome)
