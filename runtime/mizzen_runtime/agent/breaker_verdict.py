"""What the end of a request to a model says of the model, for its breaker. `docs/breakers.md` has the table."""

from collections.abc import Mapping
from enum import Enum

from pydantic_ai.exceptions import ModelAuthenticationError, ModelNotFoundError

from mizzen_runtime.breakers import Permit
from mizzen_runtime.errors import Outcome, RunError


class Verdict(Enum):
    """What a breaker is told of a call."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"


_VERDICTS: Mapping[Outcome, Verdict] = {
    Outcome.OK: Verdict.SUCCEEDED,
    Outcome.MODEL_REFUSED: Verdict.SUCCEEDED,
    Outcome.MODEL_UNAVAILABLE: Verdict.FAILED,
    Outcome.MODEL_MISBEHAVED: Verdict.FAILED,
}
"""A breaker is about a provider that is away, slow or broken. A refusal is an answer. Whatever is not here says nothing
of the model: an input that it cannot read, own code that failed, a caller who left."""


def verdict_on(outcome: Outcome, error: Exception | None) -> Verdict:
    """Tell what an attempt that has ended says of the model.

    Args:
        outcome: How it ended.
        error: What it raised, if anything.
    """
    if outcome is Outcome.MODEL_REJECTED:
        # A wrong key or an unknown model is so for every request. Any other setting that the provider turns down may
        # be one input's, and nobody is to shut a model for all by sending such inputs.
        is_for_all = isinstance(error, ModelAuthenticationError | ModelNotFoundError)
        return Verdict.FAILED if is_for_all else Verdict.IGNORED
    return _VERDICTS.get(outcome, Verdict.IGNORED)


def tell(permit: Permit, verdict: Verdict, failure: RunError | None = None, seconds: float | None = None) -> None:
    """Tell a breaker how a call ended.

    Args:
        permit: Of the call.
        verdict: What its end says.
        failure: Where it failed, with the time for which the provider asked not to be asked.
        seconds: What the answer took to begin, if that is not the time until now.
    """
    match verdict:
        case Verdict.SUCCEEDED:
            permit.succeeded(seconds=seconds)
        case Verdict.FAILED:
            permit.failed(seconds=seconds, retry_after=failure.retry_after if failure is not None else None)
        case Verdict.IGNORED:
            permit.ignored()
