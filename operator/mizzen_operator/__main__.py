"""`python -m mizzen_operator`."""

import sys

from mizzen_operator.main import main

sys.exit(main())
