"""How long to wait after a failure."""

import random

FIRST_SECONDS = 0.05
MAX_SECONDS = 300.0


class Backoff:
    """Exponential delays from 50 ms to 5 minutes, each shortened at random by up to half.

    The jitter keeps a thousand resources that failed together from coming back together.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def delay(self, failures: int) -> float:
        """Give the seconds to wait after so many failures in a row (1 or more)."""
        # 2 ** 20 is past the maximum already; beyond 1,024 a float overflows.
        longest = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + self._rng.random() / 2)
