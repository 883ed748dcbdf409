"""Wheel and source distribution as a release would have them: built, checked, each installed in an environment of its own, and used.

``make release-check`` runs it. With ``--here`` the new environments see the dependencies of this one in place of installing them: quick,
without a network, but it tells nothing of whether the declared dependencies suffice.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROJECT = Path(__file__).parents[2]
STATED = {
    "surveysim/__init__.py": r"^__version__ = \"(.+)\"",
    "CITATION.cff": r"^version: \"?([^\s\"]+)",
    "CHANGELOG.md": r"^## (\d\S*)",
    ".github/conda/recipe.yaml": r"^  version: \"(.+)\"",
}
SMOKE = """
import surveysim as ss
survey = ss.load_example("nonvoters2020")
table = ss.simulate(survey, ["gender", "age3"], questions=["Q8_8"], method="mrp", progress=False)
assert len(ss.list_codebooks()) >= 12
assert abs(table.groupby("background_id")["share"].sum() - 1).max() < 1e-9
print(ss.__version__, ss.__file__)
"""


def run(*words: object, folder: Path) -> str:
    """Run a command that sees nothing of this project, and return what it prints.

    Raises
    ------
    SystemExit
        With all of its output, if it fails.
    """
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in words], cwd=folder, env=alone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the version as every place states it: the package is where it is written, from there the build has it; the others follow."""
    said = {}
    for name, pattern in STATED.items():
        found = re.search(pattern, (PROJECT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        said[name] = found[1] if found else "(none)"
    return said


def check_installed(archive: Path, *, here: bool) -> str:
    """Install an archive in a new environment, use it away from the project, and return what was said."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        venv.create(folder / "environment", with_pip=not here)
        python = folder / "environment" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if here:
            pip = (sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation", "--no-index")
            own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder))
            (own / "dependencies.pth").write_text("\n".join(place for place in sys.path if "site-packages" in place), encoding="utf-8")
            run(*pip, "--ignore-installed", archive, folder=folder)
        else:
            run(python, "-m", "pip", "install", "-q", archive, folder=folder)
            run(python, "-m", "pip", "check", folder=folder)
        said = run(python, "-W", "error", "-c", SMOKE, folder=folder)
        run(python, "-m", "surveysim", "describe", "nonvoters2020", "--by", "gender", "--questions", "Q8_8", folder=folder)
    if str(folder) not in said:
        raise SystemExit(f"{archive.name}: not the installed package was used, but {said}")
    return said.split()[0]


def main(words: list[str]) -> None:
    """Check the archives in dist/."""
    said, here = versions(), "--here" in words
    if len(set(said.values())) > 1:
        raise SystemExit(f"the version is stated differently: {said}; surveysim/__init__.py has it, put the others right")
    version = said["surveysim/__init__.py"]
    archives = sorted([*PROJECT.glob(f"dist/surveysim_dsa-{version}*.whl"), *PROJECT.glob(f"dist/surveysim_dsa-{version}.tar.gz")])
    if len(archives) != 2:
        raise SystemExit(f"dist/ holds {[path.name for path in archives]} of version {version}; build one wheel and one .tar.gz")
    for archive in archives:
        found = check_installed(archive, here=here)
        if found != version:
            raise SystemExit(f"{archive.name} says that it is {found}, not {version}")
        print(f"{archive.name}: installed and used{' with the dependencies of this environment' if here else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
