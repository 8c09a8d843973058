"""Three ways to one answer, which is right only if database, cache and API each did what they were asked for.

`keep` is a tool: the model asks for it, and then says what it gave. `agent` has kept the text before it asks its model,
and asks it once. `Keeper` asks none.
"""

from dataclasses import dataclass

from pydantic import RootModel
from pydantic_ai import Agent, RunContext

from mizzen_runtime.production_agent import ProductionAgentBase
from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService

SECONDS_IN_CACHE = 60


async def keep(text: str, database: DatabaseService, cache: CacheService, api: ExternalAPIService) -> str:
    """Keep a text in the database and the cache, send it to the API, and give back a third of it from each.

    Args:
        text: What is kept.
    """
    result_id = await database.save_result({"text": text})
    await cache.set(result_id, text, SECONDS_IN_CACHE)
    found = await database.get_result(result_id) or {}
    cached = await cache.get(result_id)
    echoed = await api.fetch_data(text)
    third = len(text) // 3
    return f"{found['text'][:third]}{cached[third:-third]}{echoed['text'][-third:]}"


@dataclass
class Services:
    """What it is given."""

    database: DatabaseService
    cache: CacheService
    api: ExternalAPIService


agent = Agent(deps_type=Services)


@agent.instructions
async def kept(context: RunContext[Services]) -> str:
    """Give what the model is to say."""
    services = context.deps
    return await keep(str(context.prompt), services.database, services.cache, services.api)


class Text(RootModel[str]):
    """What is kept, and what that gave."""


class Keeper(ProductionAgentBase[Text, Text]):
    """Keeps what it is told."""

    async def _process_core_request(self, request: Text) -> Text:
        services = self.services
        database, cache = services.get(DatabaseService), services.get(CacheService)
        return Text(await keep(request.root, database, cache, services.get(ExternalAPIService)))
