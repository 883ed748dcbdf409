"""The lowest versions that pyproject.toml declares, as pins for an environment of tests.

``python tests/support/lowest_versions.py`` writes them into constraints-minimum.txt. What the package needs stands at its lower bound; what
only the tests need stands as in constraints.txt.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "constraints-minimum.txt"
KEPT = {"torch"}  # as in constraints.txt: of torch 2.5, the package index has no build for CPUs of x86
HEAD = """\
# The lowest versions that pyproject.toml declares, for `make test-minimum`; made by `python tests/support/lowest_versions.py`.
# Not at its lower bound: torch. Of 2.5, the package index has no build for CPUs of x86, only one with gigabytes of CUDA.
# What only the tests need stands as in constraints.txt.
"""


def declared() -> dict[str, str]:
    """Return the lower bound of every package that surveysim needs."""
    needed = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    bounds = {}
    for one in needed:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", one).groups()
        bounds[name] = bound
    return bounds


def pinned() -> dict[str, str]:
    """Return the pins of constraints.txt."""
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def minimum() -> str:
    """Return the text of constraints-minimum.txt."""
    lowest = {name: bound for name, bound in declared().items() if name not in KEPT}
    return HEAD + "".join(f"{name}=={version}\n" for name, version in sorted({**pinned(), **lowest}.items()))


if __name__ == "__main__":
    FILE.write_text(minimum(), encoding="utf-8")
