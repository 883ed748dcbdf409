"""The guards of the rooms, on made-up packages: each finds what breaks its rule, says file, rule and remedy, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import rooms

Rule = Callable[[rooms.Sources], list[str]]
PLATE = '"""What a room holds."""\n'
KEPT = {
    **dict.fromkeys((*rooms.FOUNDATION, *rooms.TOP), '"""A module of the top."""\n'),
    **{f"{room}.__init__": PLATE for room in (*rooms.ROOMS, *(f"lm.{group}" for group in rooms.LM_GROUPS))},
    "tables.cells": "from surveysim.errors import TableError\n",
    "survey.survey": "from surveysim.tables import cells\nfrom surveysim.survey.missing import counted\n",
    "survey.missing": "import pandas\n",
    "figures.bars": "def draw():\n    import matplotlib.pyplot as plt\n",
    "lm.prompts.words": "import re\n",
    "lm.base.backbone": "import torch\nfrom surveysim.lm.prompts.words import said\n",
    "lm.training": "from surveysim.lm.base.backbone import Backbone\n",
    "simulation.request": "def asked(a, b, c, d, e, f, *, g):\n    from surveysim.lm.training import align\n",
}
ALL = (
    rooms.strangers,
    rooms.crowded_rooms,
    rooms.busy_door_plates,
    rooms.upward_imports,
    rooms.circles,
    rooms.misplaced_packages,
    rooms.long_signatures,
)
METHOD = "class Model:\n    def fit(self, a, b, c, d, e, f{}):\n        pass\n"

BROKEN = [
    (
        rooms.strangers,
        {"helpers": "x = 1"},
        ["surveysim/helpers.py", "the top level holds errors, calls, html", "move it into one of the rooms tables"],
    ),
    (rooms.strangers, {"utils.names": "x = 1", "utils.__init__": PLATE}, ["surveysim/utils/names.py", "no room utils", "move it"]),
    (
        rooms.strangers,
        {"tables.deep.cells": "x = 1", "tables.deep.__init__": PLATE},
        ["surveysim/tables/deep/cells.py", "no room tables/deep"],
    ),
    (rooms.strangers, {"lm.more.heads": "x = 1", "lm.more.__init__": PLATE}, ["surveysim/lm/more/heads.py", "no room lm/more", "move it"]),
    (rooms.crowded_rooms, {f"design.part{n}": "" for n in range(15)}, ["surveysim/design: 15 modules", "at most 14", "merge two of part0"]),
    (rooms.crowded_rooms, {f"lm.fit.part{n}": "" for n in range(15)}, ["surveysim/lm/fit: 15 modules", "at most 14", "merge two of part0"]),
    (
        rooms.busy_door_plates,
        {"tables.__init__": f"{PLATE}from surveysim.tables.cells import Cells\n"},
        ["surveysim/tables/__init__.py", "imports"],
    ),
    (rooms.busy_door_plates, {"lm.fit.__init__": ""}, ["surveysim/lm/fit/__init__.py", "one docstring", "name a definition by its module"]),
    (
        rooms.upward_imports,
        {"tables.cells": "from surveysim.survey.survey import Survey"},
        ["tables/cells.py", "survey/survey.py", "move the"],
    ),
    (
        rooms.upward_imports,
        {"tables.cells": "def f():\n    import surveysim.lm.training"},
        ["tables/cells.py", "surveysim/lm/training.py", "above"],
    ),
    (
        rooms.upward_imports,
        {"tables.cells": "import surveysim as ss"},
        ["surveysim/tables/cells.py imports surveysim/__init__.py", "above"],
    ),
    (
        rooms.upward_imports,
        {"lm.prompts.words": "from surveysim.lm.base import backbone"},
        ["lm/prompts/words.py", "lm prompts < base < trunk"],
    ),
    (rooms.upward_imports, {"lm.base.backbone": "from surveysim.lm.training import align"}, ["lm/base/backbone.py", "lm/training.py"]),
    (
        rooms.upward_imports,
        {"tables.cells": "x = 1\nfrom . import schema"},
        ["surveysim/tables/cells.py, line 2", "write the module's whole name"],
    ),
    (
        rooms.circles,
        {"survey.missing": "from surveysim.survey.survey import Survey"},
        ["survey/missing.py", "survey/survey.py", "a circle of imports"],
    ),
    (
        rooms.misplaced_packages,
        {"cli": "def run():\n    import torch"},
        ["surveysim/cli.py, line 2", "imports torch", "move what needs it into"],
    ),
    (
        rooms.misplaced_packages,
        {"lm.prompts.words": "from transformers import AutoTokenizer"},
        ["lm/prompts/words.py, line 1", "not in lm/prompts"],
    ),
    (rooms.misplaced_packages, {"simulation.request": "import peft.tuners"}, ["simulation/request.py, line 1", "imports peft"]),
    (
        rooms.misplaced_packages,
        {"demo": 'from importlib import import_module\nimport_module("torch")'},
        ["surveysim/demo.py, line 2", "torch"],
    ),
    (
        rooms.misplaced_packages,
        {"publishing.report": "import matplotlib.pyplot as plt"},
        ["publishing/report.py, line 1", "belongs in figures/"],
    ),
    (rooms.misplaced_packages, {"lm.training": "def f():\n    import seaborn"}, ["lm/training.py, line 2", "move the drawing into"]),
    (
        rooms.long_signatures,
        {"tables.cells": "def f(a, b, c, d, e, f, g):\n    pass"},
        ["tables/cells.py, line 1: f has 7", "put * before"],
    ),
    (rooms.long_signatures, {"tables.cells": METHOD.format(", g")}, ["tables/cells.py, line 2: fit has 7 positional", "put * before"]),
]


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
def test_a_package_that_keeps_the_rules_passes(rule: Rule) -> None:
    assert rule(KEPT) == []
    assert rule({**KEPT, "tables.cells": METHOD.format(", *, g")}) == []


@pytest.mark.parametrize(("rule", "changed", "said"), BROKEN, ids=[f"{rule.__name__}-{place}" for place, (rule, *_) in enumerate(BROKEN)])
def test_what_breaks_a_rule_is_found_and_the_remedy_said(rule: Rule, changed: dict[str, str], said: list[str]) -> None:
    found = rule({**KEPT, **changed})
    assert found
    assert [part for part in said if part not in found[0]] == []


@pytest.mark.parametrize("gone", ["errors", "tables.__init__"])
def test_what_goes_is_missed(gone: str) -> None:
    (found,) = rooms.strangers({name: text for name, text in KEPT.items() if name != gone})
    assert found.startswith(f"{rooms.file_of(gone)}: it is not there")


SMALL = {"cli": "", "tables.__init__": PLATE, "tables.cells": "", "tables.draws": ""}
TESTS = {"tests/whole/test_cli.py", "tests/tables/test_cells.py"}


def test_a_mirrored_or_declared_module_passes() -> None:
    assert rooms.unmirrored(SMALL, TESTS, {"tables.draws": "tests/tables/test_cells.py"}) == []
    declared = {"tables.draws": "tests/tables/test_drawing.py"}
    assert rooms.unmirrored(SMALL, {*TESTS, "tests/tables/test_drawing.py"}, declared) == []


@pytest.mark.parametrize(
    ("tests", "declared", "said"),
    [
        (
            TESTS,
            {},
            "surveysim/tables/draws.py: tests mirror the package path for path; write tests/tables/test_draws.py, or say in COVERED",
        ),
        (TESTS, {"tables.draws": "tests/tables/test_gone.py"}, "'tables.draws': tests/tables/test_gone.py is not there; name the file"),
        (
            {*TESTS, "tests/tables/test_draws.py"},
            {"tables.draws": "tests/tables/test_cells.py"},
            "has its own tests/tables/test_draws.py now",
        ),
        (
            {*TESTS, "tests/tables/test_draws.py"},
            {"tables.old": "tests/tables/test_cells.py"},
            "'tables.old' is no module any more; take its",
        ),
        (
            {*TESTS, "tests/tables/test_draws.py", "tests/tables/test_old.py"},
            {},
            "tests/tables/test_old.py: no module surveysim/tables/old.py",
        ),
    ],
)
def test_a_missing_or_stale_entry_is_found(tests: set[str], declared: dict[str, str], said: str) -> None:
    found = rooms.unmirrored(SMALL, tests, declared)
    assert len(found) == 1
    assert said in found[0]
