"""What a release rests on: one version, a recipe with the declared dependencies, workflows whose steps are targets of the Makefile."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import surveysim as ss
from tests.support import fast_tests, release_check
from tests.support.pages import PROJECT

WORKFLOWS = PROJECT / ".github" / "workflows"
NAMES = {"pytorch": "torch", "huggingface_hub": "huggingface-hub", "matplotlib-base": "matplotlib"}  # conda-forge -> package index


def _declared() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_version_is_written_once_and_agrees() -> None:
    project = _declared()
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "surveysim/__init__.py"
    assert set(release_check.versions().values()) == {ss.__version__}


def test_versions_that_differ_stop_a_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in release_check.STATED:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text((PROJECT / name).read_text(encoding="utf-8"), encoding="utf-8")
    citation = tmp_path / "CITATION.cff"
    citation.write_text(citation.read_text().replace(f"version: {ss.__version__}", "version: 9.9.9"))
    monkeypatch.setattr(release_check, "PROJECT", tmp_path)
    with pytest.raises(SystemExit, match=r"stated differently.*9\.9\.9"):
        release_check.main(["--here"])
    citation.write_text(citation.read_text().replace("9.9.9", ss.__version__))
    with pytest.raises(SystemExit, match="build one wheel and one"):
        release_check.main(["--here"])


def test_the_recipe_needs_what_the_package_needs() -> None:
    recipe, project = yaml.safe_load((PROJECT / ".github" / "conda" / "recipe.yaml").read_text(encoding="utf-8")), _declared()
    needed = dict(one.split(" >=") for one in recipe["requirements"]["run"])
    assert needed.pop("python") == "${{ python_min }}"
    assert f">={recipe['context']['python_min']}" == project["project"]["requires-python"]
    assert {f"{NAMES.get(name, name)}>={bound}" for name, bound in needed.items()} == set(project["project"]["dependencies"])
    assert [one.replace(" ", "") for one in recipe["requirements"]["host"] if "hatchling" in one] == project["build-system"]["requires"]
    commands = dict(one.split(" = ") for one in recipe["build"]["python"]["entry_points"])
    assert commands == project["project"]["scripts"]


def test_actions_are_pinned_to_commits_and_keep_no_credentials() -> None:
    """A tag of somebody else's repository can be moved; a commit cannot. The comment says which version it is."""
    steps = 0
    for path in WORKFLOWS.glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        used = re.findall(r"uses: (\S+)(.*)", text)
        steps += len(used)
        assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", "".join(one))] == [], path.name
        for job in yaml.safe_load(text)["jobs"].values():
            for step in job["steps"]:
                assert "checkout" not in step.get("uses", "") or step["with"]["persist-credentials"] is False, path.name
    assert steps >= 10


@pytest.mark.parametrize(("name", "target"), [("release", "release-check"), ("docs", "docs")])
def test_a_workflow_runs_a_target_and_keeps_no_token(name: str, target: str) -> None:
    text = (WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert f"make {target}" in [step.get("run") for step in jobs["build"]["steps"]]
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"]["id-token"] == "write"
    assert "secrets." not in text


def test_the_fast_tests_are_quick_files_and_new_ones() -> None:
    seconds = fast_tests.durations()
    chosen = fast_tests.fast(fast_tests.all_files(), seconds)
    assert sum(seconds.get(name, 0.0) for name in chosen) <= 150
    assert len({name.split("/")[0] for name in chosen}) >= 15, "every room has some"
    assert fast_tests.fast(["tables/test_new.py", "whole/test_new.py"], {}) == ["tables/test_new.py"]
    assert set(seconds) <= set(fast_tests.all_files()), "run python -m tests.support.fast_tests times.xml"
