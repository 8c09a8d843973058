"""For tests of agents: services that need no neighbour, and what every implementation of a service must do.

- `TestDatabaseService`, `TestCacheService`, `TestExternalAPIService`: the test doubles.
- `fixtures`: a plugin of pytest with the fixtures `service_container` and `start_agent`.
- `agent_under_test`: what these give, for annotations.
- `database_contract`, `cache_contract`, `external_api_contract`: tests to run on an implementation of one's own.

What a test profile serves with loads without pytest.
"""

import sys

from mizzen_runtime.testing.cache_double import TestCacheService
from mizzen_runtime.testing.database_double import TestDatabaseService
from mizzen_runtime.testing.external_api_double import TestExternalAPIService

__all__ = ["TestCacheService", "TestDatabaseService", "TestExternalAPIService"]

_CONTRACTS = ("cache_contract", "database_contract", "external_api_contract")

if "pytest" in sys.modules:  # it then shows the values of a contract's assertions
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{contract}" for contract in _CONTRACTS))
