"""Writes anew what is generated from the models: `python -m manifests.generate`, which is `make generate`."""

import sys
from pathlib import Path

from devcluster.build import require_binaries
from manifests.chart_files import chart_yaml, readme, rules_template, values_schema, values_yaml
from manifests.chart_values import CHECKOUT
from manifests.conditions_page import conditions_page
from manifests.crd_files import crd_template, plain_crd
from manifests.install import CHART, install_yaml
from manifests.settings_page import settings_page

COMMAND = "make generate"


def chart_files() -> dict[Path, str]:
    """Give the content of each generated file of the chart, of the plain CRD, and of the documentation."""
    return {
        CHECKOUT / "docs" / "conditions.md": conditions_page(),
        CHECKOUT / "docs" / "service-settings.md": settings_page(),
        CHECKOUT / "manifests" / "crd.yaml": plain_crd(),
        CHART / "Chart.yaml": chart_yaml(),
        CHART / "README.md": readme((CHART / "README.md").read_text()),
        CHART / "values.schema.json": values_schema(),
        CHART / "values.yaml": values_yaml(),
        CHART / "templates" / "_rules.tpl": rules_template(),
        CHART / "templates" / "crd.yaml": crd_template(),
    }


def install_file() -> dict[Path, str]:
    """Give the content of the plain install, rendered from the chart as its files are now."""
    return {CHECKOUT / "manifests" / "install.yaml": install_yaml(require_binaries().helm)}


def main() -> int:
    """Write every file that differs, and name it."""
    for files in (chart_files, install_file):  # in this order: the second reads what the first has written
        for path, content in files().items():
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
                sys.stdout.write(f"written: {path.relative_to(CHECKOUT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
