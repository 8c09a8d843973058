"""What models cost: by the resource where it says so, else by genai-prices, which pydantic-ai asks."""

from collections.abc import Sequence
from decimal import Decimal

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.usage import RequestUsage

from mizzen_api.price import ModelPrice
from mizzen_runtime.model_metrics import ObservedModel, Price

_MILLION = 1_000_000


def observed_models(members: Sequence[Model], prices: Sequence[ModelPrice | None]) -> tuple[ObservedModel, ...]:
    """Give the models of a chain as they are counted.

    Args:
        members: The models, in order.
        prices: What the resource says each one costs; empty where it names no model.
    """
    own = prices or (None,) * len(members)
    return tuple(
        ObservedModel(model.system, model.model_name, _price(model, price))
        for model, price in zip(members, own, strict=True)
    )


def _price(model: Model, own: ModelPrice | None) -> Price | None:
    if own is not None:
        return _price_of_the_resource(own)
    return _listed_price if _is_listed(model) else None


def _price_of_the_resource(price: ModelPrice) -> Price:
    reading = Decimal(price.input_per_million_tokens) / _MILLION
    writing = Decimal(price.output_per_million_tokens) / _MILLION

    def price_of(response: ModelResponse) -> Decimal:
        return reading * response.usage.input_tokens + writing * response.usage.output_tokens

    return price_of


def _listed_price(response: ModelResponse) -> Decimal | None:
    try:
        return response.cost().total_price
    except Exception:  # noqa: BLE001 - mostly LookupError and ValueError; no answer is lost for want of a price
        return None


def _is_listed(model: Model) -> bool:
    answer = ModelResponse(
        parts=[],
        model_name=model.model_name,
        provider_name=model.system,
        provider_url=_address(model),
        usage=RequestUsage(input_tokens=1, output_tokens=1),
    )
    return _listed_price(answer) is not None


def _address(model: Model) -> str | None:
    try:
        return model.base_url
    except (AttributeError, UserError):  # some have none, and say so in their own way
        return None
