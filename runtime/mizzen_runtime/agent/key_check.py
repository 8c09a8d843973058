"""Asks a model's provider whether it takes a key, where that can be asked for nothing: by the list of its models."""

import asyncio
from typing import Any

from pydantic_ai.models import Model

ASK_SECONDS = 5.0
"""What a provider has for its answer."""
_REFUSALS = (401, 403)


async def is_refused(fresh: Model, in_force: Model) -> bool:
    """Tell whether a provider refuses the key of a model, while it takes the one in force.

    The providers that speak OpenAI's protocol, Anthropic and Groq are asked. A key that may run models need not be
    allowed to list them, so that a refusal says something only beside a key for which the list is given.
    """
    return await _status_of_list(fresh) in _REFUSALS and await _status_of_list(in_force) == _GIVEN


_GIVEN = 200


async def _status_of_list(model: Model) -> int | None:
    """Ask for the list of models, and give the status of the answer; None if there was none, or nobody to ask."""
    client: Any = getattr(model.provider, "client", None)
    if not hasattr(client, "with_options") or not hasattr(client, "models"):
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await client.with_options(max_retries=0).models.list()
    except Exception as error:  # noqa: BLE001 - each SDK has errors of its own; those of an answer have its status
        status = getattr(error, "status_code", None)
        return status if isinstance(status, int) else None
    return _GIVEN
