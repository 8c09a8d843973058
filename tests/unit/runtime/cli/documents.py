"""Documents out of texts, for tests."""

import textwrap

from mizzen_runtime.cli.documents import Document, read_documents
from mizzen_runtime.cli.findings import Finding
from mizzen_runtime.cli.objects import Objects, read_objects


def parsed(text: str) -> list[Document]:
    """Read a text that is right."""
    documents, findings = read_documents("agent.yaml", textwrap.dedent(text))
    assert not findings
    return documents


def objects_in(text: str) -> tuple[Objects, list[Finding]]:
    return read_objects(parsed(text))


def lines(findings: list[Finding]) -> list[str]:
    return [str(each) for each in findings]
