"""A queue of agents for tests that need no waiting."""

import random

from mizzen_operator.backoff import Backoff
from mizzen_operator.keys import Key
from mizzen_operator.workqueue import WorkQueue


def queue() -> WorkQueue[Key]:
    """Give an empty queue in which no time passes."""
    return WorkQueue(lambda: 0.0, Backoff(random.Random(1)))  # noqa: S311 - the same jitter in each run
