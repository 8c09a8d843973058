"""`docs/models.md` says which errors fall over as the code has it."""

import re

from manifests.chart_values import CHECKOUT
from mizzen_runtime.agent.failures import FALLS_OVER
from mizzen_runtime.attempts import MAX_TOLD
from mizzen_runtime.errors import Outcome

PAGE = (CHECKOUT / "docs" / "models.md").read_text()
OF_NO_ATTEMPT = {
    Outcome.OK,
    Outcome.CANCELLED,
    Outcome.DEADLINE_EXCEEDED,
    Outcome.SERVICE_UNAVAILABLE,
    Outcome.OVERLOADED,
    Outcome.DRAINING,
}
"""The request ended, and with it the attempt: there is no next one."""


def test_the_table_names_every_outcome_and_what_follows_it() -> None:
    rows = re.findall(r"^\| .* \| `(\w+)` \| (yes|no)\b", PAGE, re.MULTILINE)

    assert {Outcome(name): answer == "yes" for name, answer in rows} == {
        outcome: outcome in FALLS_OVER for outcome in set(Outcome) - OF_NO_ATTEMPT
    }


def test_the_number_of_attempts_that_are_told_is_the_codes() -> None:
    assert f"They are the last {MAX_TOLD};" in PAGE
