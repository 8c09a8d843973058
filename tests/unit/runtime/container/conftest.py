from collections.abc import Iterator

import pytest

from tests.unit.runtime.container import doubles


@pytest.fixture(autouse=True)
def nothing_wrong() -> Iterator[None]:
    """No service is closed twice, or opened or closed while one that it needs is not open."""
    yield
    seen = list(doubles.wrong)
    doubles.wrong.clear()
    assert seen == []
