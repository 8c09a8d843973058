"""How the chart's generated files are made."""

import jsonschema
import pytest
import yaml

from manifests import crd_files
from manifests.chart_files import TABLE_BEGIN, TABLE_END, readme, values_schema, values_yaml
from manifests.crd_files import crd_template
from mizzen_api.crd import custom_resource_definition


def test_the_default_values_fit_the_schema() -> None:
    schema = yaml.safe_load(values_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(values_yaml()))


def test_every_object_of_the_schema_refuses_unknown_values() -> None:
    schema = yaml.safe_load(values_schema())
    for definition in (schema, *schema["$defs"].values()):
        assert definition["additionalProperties"] is False, definition["title"]


def test_every_value_is_described_in_the_table_and_in_the_values_file() -> None:
    table = [line for line in readme(f"{TABLE_BEGIN}{TABLE_END}").splitlines() if line.startswith("| `")]
    keys = {line.split("`")[1] for line in table}
    assert keys >= {"image.repository", "image.digest", "runtimeImage", "watchNamespaces", "crds.keep", "resources"}
    values = values_yaml()
    for line in table:
        description = line.strip("| ").rpartition(" | ")[2]
        assert description
        assert description.split()[0] in values


def test_a_readme_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="the chart's README needs the lines"):
        readme("# A chart\n")


def test_braces_in_a_description_do_not_become_a_template_action(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = custom_resource_definition()
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Write {{ name }} for the name."
    monkeypatch.setattr(crd_files, "custom_resource_definition", lambda: definition)
    assert 'Write {{ "{{" }} name }} for the name.' in crd_template()
