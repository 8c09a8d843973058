"""`python -m mizzen_runtime`."""

import sys

from mizzen_runtime.server import main

sys.exit(main())
