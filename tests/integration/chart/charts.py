"""Copies of the chart for tests: with a CRD of their own, since there is only one of the real one in a cluster."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.chart_values import VERSION
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


def umbrella_chart(folder: Path, values: Mapping[str, Mapping[str, Any]]) -> Path:
    """Make a chart that holds the chart once for each of some values, by a name of its own, and give its path.

    Helm renders it in one go, which takes a tenth of the time that it takes for one after the other.
    """
    chart = folder / "umbrella"
    shutil.copytree(CHART, chart / "charts" / "mizzen")
    dependencies = [{"name": "mizzen", "version": VERSION, "alias": name} for name in values]
    described = {"apiVersion": "v2", "name": "umbrella", "version": "0.1.0", "dependencies": dependencies}
    (chart / "Chart.yaml").write_text(json.dumps(described))
    without_crd = {name: {"crds": {"enabled": False}, **own} for name, own in values.items()}
    (chart / "values.yaml").write_text(json.dumps(without_crd))
    return chart
