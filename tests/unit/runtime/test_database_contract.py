"""The contract of databases finds what is wrong with an implementation, and shows it, as users run it."""

import re
import subprocess
import sys
from pathlib import Path

FAULTY = '''
import itertools
import json
from typing import Any

import pytest

from mizzen_runtime.services import DatabaseService
from mizzen_runtime.testing.database_contract import DatabaseContract


class Database:
    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.numbers = itertools.count()

    async def save_result(self, result_data: dict[str, Any]) -> str:
        result_id = str(next(self.numbers))
        self.results[result_id] = self.written(result_data)
        return result_id

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        found = self.results.get(result_id)
        return None if found is None else self.read(found)

    async def health_check(self) -> bool:
        return True

    def written(self, result: Any) -> Any:
        return json.dumps(result)

    def read(self, found: Any) -> Any:
        return json.loads(found)


class Sharing(Database):
    """Keeps what it was given, and not a copy."""

    def written(self, result: Any) -> Any:
        return result

    def read(self, found: Any) -> Any:
        return found


class Forgiving(Database):
    """Keeps what is none of JSON as its text."""

    def written(self, result: Any) -> Any:
        return json.dumps(result, default=str)


class Forgetful(Database):
    """Keeps only the last result."""

    async def save_result(self, result_data: dict[str, Any]) -> str:
        self.results.clear()
        return await super().save_result(result_data)


class Careless(Database):
    """Finds an id whatever is around it."""

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        return await super().get_result(result_id.strip())


class Ill(Database):
    """Is never healthy."""

    async def health_check(self) -> bool:
        return False


def contract_of(kind: type[Database]) -> type[DatabaseContract]:
    class Contract(DatabaseContract):
        @pytest.fixture
        async def database(self) -> DatabaseService:
            return kind()

    return Contract


TestSharing = contract_of(Sharing)
TestForgiving = contract_of(Forgiving)
TestForgetful = contract_of(Forgetful)
TestCareless = contract_of(Careless)
TestIll = contract_of(Ill)
'''


def test_it_finds_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "test_faulty.py"
    file.write_text(FAULTY)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--rootdir={tmp_path}",
            "-c",
            "/dev/null",
            file,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    failed = set(re.findall(r"^FAILED \S+::Test(\w+::\w+)", done.stdout, re.MULTILINE))
    for found in (
        "Sharing::test_what_is_kept_does_not_change_with_what_was_saved",
        "Sharing::test_what_is_kept_does_not_change_with_what_was_found",
        "Sharing::test_what_would_not_come_back_is_refused",
        "Forgiving::test_what_would_not_come_back_is_refused",
        "Forgetful::test_results_are_kept_apart",
        "Forgetful::test_saves_at_the_same_time_do_not_mix",
        "Careless::test_a_changed_id_has_no_result",
        "Ill::test_it_is_healthy",
    ):
        assert found in failed, done.stdout
    assert "Ill::test_results_are_kept_apart" not in failed
    assert re.search(r"assert False is True", done.stdout), "an assertion shows its values"
