"""Circuit breakers: what fails or is slow is not asked for a while. `docs/breakers.md` says when one opens."""

from mizzen_runtime.breakers.breaker import BreakerOpenError, BreakerState, CircuitBreaker, Permit, State
from mizzen_runtime.breakers.registry import Breakers

__all__ = ["BreakerOpenError", "BreakerState", "Breakers", "CircuitBreaker", "Permit", "State"]
