"""For tests of agents: services that need no neighbour, and what every implementation of a service must do.

What a test profile serves with loads without pytest.
"""

import sys

_CONTRACTS = ("cache_contract", "database_contract", "external_api_contract")

if "pytest" in sys.modules:  # it then shows the values of a contract's assertions
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{contract}" for contract in _CONTRACTS))
