"""Copies of the chart for tests: with a CRD of their own, since there is only one of the real one in a cluster."""

import re
import shutil
from pathlib import Path

from manifests.install import CHART
from mizzen_api.names import GROUP


def copy_chart(folder: Path, group: str) -> Path:
    """Copy the chart into a folder, with its resource in another API group, and give the copy's path."""
    chart = Path(shutil.copytree(CHART, folder / "chart"))
    for name in ("crd.yaml", "user-roles.yaml", "_rules.tpl"):
        template = chart / "templates" / name
        template.write_text(template.read_text().replace(GROUP, group))
    return chart


def add_field(chart: Path, name: str) -> None:
    """Add a text field to the spec of the chart's CRD, as a later version would."""
    template = chart / "templates" / "crd.yaml"
    changed, count = re.subn(
        r"(?m)^( +)replicas:$",
        rf"\1{name}:\n\1  type: string\n\1  maxLength: 20\n\1replicas:",
        template.read_text(),
        count=1,
    )
    assert count == 1
    template.write_text(changed)
