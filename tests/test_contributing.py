"""What contributors are asked for: forms that ask for formula, reference and R, and lowest versions that are the declared ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pages import PROJECT

FORMS = sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
ASKED = {"wrong-number": {"example", "formula", "reference", "r", "version"}, "method": {"what", "formula", "reference", "r"}}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_the_host_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    for field in form["body"]:
        assert field["type"] in ("input", "textarea")
        assert field["attributes"]["label"]
        assert field["validations"]["required"] is True


@pytest.mark.parametrize("name", ASKED)
def test_who_reports_a_number_or_a_method_gives_formula_reference_and_r(name: str) -> None:
    form = yaml.safe_load((PROJECT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert {field["id"] for field in form["body"]} == ASKED[name]


def test_a_change_is_asked_for_formula_reference_and_r() -> None:
    text = (PROJECT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    assert all(word in text for word in ("**Formula**", "**Reference**", "**Check in R**", "`make test`", "`make docs`", "CHANGELOG.md"))
    assert len(FORMS) == 4
