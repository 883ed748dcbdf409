"""What contributors are asked for: forms that ask for formula, reference and R, and lowest versions that are the declared ones."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support import lowest_versions
from tests.support.pages import PROJECT

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


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    assert lowest_versions.FILE.read_text(encoding="utf-8") == lowest_versions.minimum(), "run python tests/support/lowest_versions.py"
    declared, kept = lowest_versions.declared(), lowest_versions.KEPT
    lines = {name: bound for name, _, bound in (line.partition("==") for line in lowest_versions.minimum().splitlines())}
    assert {name: lines[name] for name in declared if name not in kept} == {name: declared[name] for name in declared if name not in kept}
    assert {name: lines[name] for name in kept} == {name: lowest_versions.pinned()[name] for name in kept}


def test_what_is_installed_is_no_older_than_declared() -> None:
    needed = [Requirement(line) for line in metadata.requires("surveysim-dsa") or []]
    here = {one.name: Version(metadata.version(one.name)) for one in needed if one.marker is None}
    assert set(here) == set(lowest_versions.declared())
    assert {name for name, version in here.items() if version < Version(lowest_versions.declared()[name])} == set()


def test_every_job_is_a_target_of_the_makefile() -> None:
    (job,) = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))["jobs"].values()
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(job["strategy"]["matrix"]["target"]) == {"test", "test-minimum", "test-site"} <= targets
    assert job["steps"][-1]["run"] == "make ${{ matrix.target }}"
