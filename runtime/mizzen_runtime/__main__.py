"""`python -m mizzen_runtime`."""

import signal

# As a container's first process it would otherwise miss what is sent before the imports below are done.
_early: list[int] = []
for _number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(_number, lambda number, _frame: _early.append(number))

from mizzen_runtime.leaving import leave  # noqa: E402 - see above
from mizzen_runtime.server import main  # noqa: E402 - as above

leave(main(stop_requested=lambda: bool(_early)))
