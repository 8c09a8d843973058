"""Times, in seconds, that operator and runtime must agree on: the pod's grace period is derived from the runtime's."""

from typing import Final

HANDOVER_SECONDS: Final = 3.0
"""How long after SIGTERM a pod goes on being ready. A pod that is deleted is taken out of its Service all the same; but
where it was the only one, it goes on getting the requests as long as it is ready and the one in its place is not."""
PROPAGATION_SECONDS: Final = 5.0
"""How long it then goes on accepting, until its probe has failed and every node and client knows."""
REQUEST_TIMEOUT_SECONDS: Final = 60.0
"""How long a request may take, from its arrival to the end of its answer."""
CLOSE_SECONDS: Final = 6.0
"""What is left beside the last request's time: for the last call, its answer, connections to models, and the exit."""
TERMINATION_GRACE_SECONDS: Final = int(HANDOVER_SECONDS + PROPAGATION_SECONDS + REQUEST_TIMEOUT_SECONDS + CLOSE_SECONDS)
"""`terminationGracePeriodSeconds` of an agent's pod: a request that arrives last is still answered."""
