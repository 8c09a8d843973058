"""The code in a page of the documentation."""

import re
from collections.abc import Iterable
from pathlib import Path


def blocks(page: str, language: str) -> list[str]:
    """Give the page's blocks of code in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def write_files(code: Iterable[str], folder: Path) -> None:
    """Write each block whose first line names its file: `# folder/name`."""
    for block in code:
        if named := re.match(r"# (\S+)\n", block):
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
