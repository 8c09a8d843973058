"""Asks a model's provider whether it takes a key, where that can be asked for nothing: by the list of its models."""

import asyncio
from typing import Any

from pydantic_ai.models import Model

ASK_SECONDS = 5.0
"""What a provider has for its answer."""
_REFUSALS = (401, 403)


async def refusal_of(model: Model) -> int | None:
    """Give the status by which a model's provider refuses the key; None if it does not, or nobody can tell.

    The providers that speak OpenAI's protocol, Anthropic and Groq are asked. One that is away, or has no such list, has
    not refused the key.
    """
    client: Any = getattr(model.provider, "client", None)
    if not hasattr(client, "with_options") or not hasattr(client, "models"):
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await client.with_options(max_retries=0).models.list()
    except Exception as error:  # noqa: BLE001 - each SDK has errors of its own; those of an answer have its status
        status = getattr(error, "status_code", None)
        return status if status in _REFUSALS else None
    return None
