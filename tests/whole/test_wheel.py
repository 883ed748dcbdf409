"""The wheel: built, installed in an environment of its own, it holds every file of data and works without the project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import surveysim as ss
from tests.support.pages import PROJECT

PACKAGE = PROJECT / "surveysim"


def _run(*words: object, folder: Path) -> str:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=alone, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this version, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, PROJECT, folder=folder
    )
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment that holds the wheel, and sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    interpreter = scripts / ("python.exe" if os.name == "nt" else "python")
    pip = (sys.executable, "-m", "pip", "--python", interpreter)
    _run(*pip, "install", "-q", "--no-deps", "--no-index", "--no-warn-script-location", wheel, folder=folder)
    own = Path(_run(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder))
    dependencies = [place for place in sys.path if "site-packages" in place]
    (own / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")  # an editable surveysim there is not followed
    return interpreter


def test_the_wheel_holds_every_file_of_the_package_and_the_codebooks(wheel: Path) -> None:
    sources = {path.relative_to(PROJECT).as_posix() for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    books = {f"surveysim/codebooks/{path.name}" for path in (PROJECT / "codebooks").glob("*.toml")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {Path(name).suffix for name in sources} > {".py", ".sav"}
    assert len(books) >= 12
    assert held == sources | books


def test_it_says_its_licence_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "License-Expression: Apache-2.0" in about["METADATA"]
    assert "surveysim = surveysim.cli:main" in about["entry_points.txt"]
    assert "LICENSE" in about


def test_it_works_where_the_project_is_not(python: Path, tmp_path: Path) -> None:
    code = """
import surveysim as ss
survey = ss.load_example("nonvoters2020")
print(ss.__file__)
print(len(survey), len(ss.list_codebooks()), len(ss.read_population("us_adults_2014_2018")))
for name in ss.list_codebooks():
    ss.load_codebook(name)
"""
    place, counts = _run(python, "-W", "error", "-c", code, folder=tmp_path).splitlines()
    assert Path(place).is_relative_to(python.parents[1])
    assert counts == f"{len(ss.load_example())} {len(ss.list_codebooks())} {len(ss.read_population('us_adults_2014_2018'))}"


def test_its_command_runs(python: Path, tmp_path: Path) -> None:
    assert "describe" in _run(python, "-m", "surveysim", "--help", folder=tmp_path)
    command = python.with_name("surveysim.exe" if os.name == "nt" else "surveysim")
    assert _run(command, "--version", folder=tmp_path) == f"surveysim {ss.__version__}"
    assert "5,836 respondents" in _run(command, "describe", "nonvoters2020", folder=tmp_path)
