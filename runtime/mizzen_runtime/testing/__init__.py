"""For tests of agents: services that need no neighbour, and what every implementation of a service must do.

What a test profile serves with loads without pytest.
"""

import sys

if "pytest" in sys.modules:  # it then shows the values of a contract's assertions
    sys.modules["pytest"].register_assert_rewrite("mizzen_runtime.testing.database_contract")
