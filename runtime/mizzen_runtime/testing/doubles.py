"""The test doubles, with what they stand for."""

from collections.abc import Mapping
from typing import Any

from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService
from mizzen_runtime.testing.cache_double import TestCacheService
from mizzen_runtime.testing.database_double import TestDatabaseService
from mizzen_runtime.testing.external_api_double import TestExternalAPIService

DOUBLES: Mapping[Any, type] = {
    DatabaseService: TestDatabaseService,
    CacheService: TestCacheService,
    ExternalAPIService: TestExternalAPIService,
}
"""By interface."""
NAMES: Mapping[Any, str] = {DatabaseService: "database", CacheService: "cache", ExternalAPIService: "external_api"}
"""What they are called where no resource gives them a name, by interface."""
