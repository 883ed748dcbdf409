"""Which test files `make test-fast` runs: all of a room that take little time, by what each took when it was last measured.

``python -m tests.support.fast_tests`` prints them; ``... --left-out`` the others, with their seconds. After
``pytest --junitxml=times.xml``, ``python -m tests.support.fast_tests times.xml`` writes what the files of that run took into
tests/support/durations.json. A file that was never measured, such as a new one, is run.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).parents[1]
DURATIONS = Path(__file__).with_name("durations.json")  # file, from tests/ -> seconds in all
LONGEST = 2.0  # seconds of a file
OF_THE_PROJECT = "whole"  # looks at the project as a whole: pages, notebooks, the demo, the wheel; left out but for what is named here
ALSO = ("whole/test_architecture_page.py", "whole/test_html.py", "whole/test_rooms.py")


def durations() -> dict[str, float]:
    """Return the seconds of every file that was measured."""
    return json.loads(DURATIONS.read_text(encoding="utf-8"))


def all_files() -> list[str]:
    """Return every test file, from the folder of the tests."""
    return sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


def fast(files: Sequence[str], seconds: Mapping[str, float]) -> list[str]:
    """Return the files that are run."""
    short = [name for name in files if seconds.get(name, 0.0) <= LONGEST]
    return [name for name in short if not name.startswith(f"{OF_THE_PROJECT}/") or name in ALSO]


def measured(report: Path) -> dict[str, float]:
    """Return the seconds of every file in a report of pytest."""
    found: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = "/".join(case.get("classname", "").split(".")[1:]) + ".py"
        if (TESTS / name).is_file():
            found[name] += float(case.get("time", 0))
    return {name: round(taken, 1) for name, taken in found.items()}


def main(words: Sequence[str]) -> None:
    """Print what is run or left out, or write what a report measured."""
    if words and words[0].endswith(".xml"):
        kept = {name: taken for name, taken in {**durations(), **measured(Path(words[0]))}.items() if (TESTS / name).is_file()}
        DURATIONS.write_text(json.dumps(dict(sorted(kept.items())), indent=0) + "\n", encoding="utf-8")
        return
    chosen = fast(all_files(), durations())
    if words == ["--left-out"]:
        print(*[f"{durations().get(name, 0.0):7.1f} s  {name}" for name in all_files() if name not in chosen], sep="\n")
    else:
        print(*[f"tests/{name}" for name in chosen])


if __name__ == "__main__":
    main(sys.argv[1:])
