"""The JSON of an answer, the same in a single one, in a stream and in a batch."""

from pydantic_core import to_json

from mizzen_runtime.agent_service import RunResult


def result_members(result: RunResult, revision: str) -> dict[str, object]:
    """Give the members of an answer.

    Args:
        result: The answer.
        revision: The configuration in force.
    """
    return {
        "id": result.id,
        "output": result.output,
        "revision": revision,
        "usage": result.usage,  # `as_json` writes a dataclass as an object
        "timing": {"total_seconds": round(result.seconds, 6)},
        **result.attempts,
    }


def as_json(members: dict[str, object]) -> bytes:
    """Write them, infinite numbers as null: as pydantic does in a model's field."""
    return to_json(members, inf_nan_mode="null")
