"""The clock by which leases are judged."""

import sys
import time


def boot_seconds() -> float:
    """Give seconds that never go back, and that go on while the process or the whole machine is suspended.

    `time.monotonic` stands still while a machine sleeps: whoever woke up would take an old lease for a new one. Other
    systems than Linux have nothing better.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # noqa: RET505 - a statement behind the branch would be unreachable to the type checker
        return time.monotonic()
