"""What every external API must do, as tests to run on an own one.

Example:
    class TestMyApi(ExternalAPIContract):
        query = "a query that it answers"

        @pytest.fixture
        async def external_api(self) -> AsyncIterator[ExternalAPIService]:
            ...
"""

import asyncio
import json
from typing import Any

import pytest

from mizzen_runtime.services import ExternalAPIService, ServiceError

DANGEROUS_SOURCES = (
    *(
        "",
        "no url",
        "example.com",
        "//example.com/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
    ),
    *("javascript:alert(1)", "data:text/plain,x", "http://", "http:///path", "http://:80/"),
    *(
        "http://localhost/",
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
    ),
    *("http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://169.254.169.254/"),
    *("http://[fe80::1]/", "http://[fd00::1]/", "http://[ff02::1]/", "http://224.0.0.1/", "http://255.255.255.255/"),
    *(
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
    ),
    *(
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://127.0.0.1./",
    ),
    *("http://user@example.com/", "http://user:password@example.com/", "http://example.com@127.0.0.1/"),
    *(
        "http://example.com\\@127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http://127.0.0.1%23@example.com/",
        "http://[fe80::1%25eth0]/",
    ),
    *(
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://exa\tmple.com/",
        "http://example.com /",
    ),
    *("http://example.com:0/", "http://example.com:99999/", "http://example.com:80:80/", "http://%31%32%37.0.0.1/"),
)
"""Each leads where only this machine should go, or can be read in two ways."""


class ExternalAPIContract:
    """The tests. Override `external_api` to give an initialised service, closed afterwards, and `query`."""

    pytestmark = pytest.mark.anyio

    query = "query"
    """What it answers."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the runtime does."""
        return "asyncio"

    @pytest.fixture
    async def external_api(self) -> Any:
        """Give the service under test."""
        raise NotImplementedError("override the fixture `external_api`")

    async def test_it_is_an_external_api_service(self, external_api: ExternalAPIService) -> None:
        """It has the methods of the interface."""
        assert isinstance(external_api, ExternalAPIService)

    async def test_a_query_is_answered_by_a_json_object(self, external_api: ExternalAPIService) -> None:
        """As a dict that can be written as JSON."""
        answer = await external_api.fetch_data(self.query)

        assert type(answer) is dict
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer

    async def test_an_answer_belongs_to_who_asked(self, external_api: ExternalAPIService) -> None:
        """Changing it changes no later answer."""
        (await external_api.fetch_data(self.query))["changed"] = True

        assert "changed" not in await external_api.fetch_data(self.query)

    @pytest.mark.parametrize("query", [None, 1, b"query", ["query"]])
    async def test_a_query_that_is_no_text_is_refused(self, external_api: ExternalAPIService, query: Any) -> None:
        """Before anybody is asked."""
        with pytest.raises(ServiceError):
            await external_api.fetch_data(query)

    async def test_queries_may_run_at_once(self, external_api: ExternalAPIService) -> None:
        """More than there are connections."""
        answers = await asyncio.gather(*(external_api.fetch_data(self.query) for _ in range(50)))

        assert len(answers) == 50

    @pytest.mark.parametrize("source_url", [*DANGEROUS_SOURCES, None, 1, "http://example.com/" + "a" * 100_000])
    async def test_a_dangerous_source_is_refused(self, external_api: ExternalAPIService, source_url: Any) -> None:
        """By False, not by an error."""
        assert await external_api.validate_source(source_url) is False
