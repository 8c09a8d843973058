"""`docs/architecture.md` names modules that there are, and each part of the runtime that a reader may look for."""

import re
from importlib.util import find_spec

import pytest

from manifests.chart_values import CHECKOUT

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text()
PACKAGES = ("mizzen_api", "mizzen_operator", "mizzen_runtime")
WHERE = re.findall(r"^\| [^|]+ \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
NAMED = sorted({name.rstrip("/") for cell in WHERE for name in re.findall(r"`([\w./]+)`", cell)})


def is_module(name: str) -> bool:
    names = [name] if name.startswith("mizzen_") else [f"{package}.{name}" for package in PACKAGES]
    return any(_found(each) for each in names)


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what it is said to be in is not there
        return False


@pytest.mark.parametrize("name", NAMED)
def test_a_module_that_the_page_names_is_there(name: str) -> None:
    assert is_module(name)


def test_every_part_of_the_runtime_is_on_the_page() -> None:
    folder = CHECKOUT / "runtime" / "mizzen_runtime"
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    named = {part for name in NAMED for part in name.split(".")}
    assert {name for name in packages if name not in named} == set()
