from collections.abc import Iterator

import pytest

from tests.unit.runtime.container import doubles


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Order matters here: the server runs on uvloop, and own code's tests on what Python brings."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def nothing_wrong() -> Iterator[None]:
    """No service is closed twice, or opened or closed while one that it needs is not open."""
    yield
    seen = list(doubles.wrong)
    doubles.wrong.clear()
    assert seen == []
