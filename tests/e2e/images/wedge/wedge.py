"""An agent that repeats what it is asked. One question holds up its event loop and never lets go."""

import time

from pydantic import RootModel

from mizzen_runtime.production_agent import ProductionAgentBase

HOLD_UP = "hold up"


class Text(RootModel[str]):
    """What is asked and answered."""


class Wedge(ProductionAgentBase[Text, Text]):
    """Repeats what it is asked."""

    async def _process_core_request(self, request: Text) -> Text:
        while request.root == HOLD_UP:
            time.sleep(1)  # noqa: ASYNC251 - the fault that the tests are about
        return request
