"""The rules of the rooms, as checks of any package's sources: module name -> text, say ``{"tables.cells": "import numpy"}``.

Every check returns its findings as messages, each with the file, the rule and the remedy; an empty list is a package that keeps the rule.
A folder's own module is called ``tables.__init__``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

PACKAGE = "surveysim"
FOUNDATION = ("errors", "calls", "html", "whole_files", "progress")
# A module may import modules of its own room and of the rooms before it in this list; inside `lm` the groups stand in order too.
ROOMS = (
    "tables", "codebook", "files", "design", "survey", "drafting", "estimation", "differences", "baselines", "inference", "lm",
    "simulation", "synthesis", "evaluation", "figures", "publishing",
)  # fmt: skip
LM_GROUPS = ("prompts", "base", "trunk", "fit")
TOP = ("__init__", "demo", "cli", "__main__")
ORDER = f"rooms import those before them ({' < '.join(ROOMS)}; in lm {' < '.join(LM_GROUPS)} < its own modules)"

MOST_MODULES = 14  # of a room, or of a group of lm
MOST_POSITIONAL = 6  # parameters of a function, self not counted
MODELS, FIGURES = ("torch", "transformers", "peft", "accelerate"), ("matplotlib", "seaborn")

Sources = Mapping[str, str]


def file_of(name: str) -> str:
    """Return the file of a module."""
    return f"{PACKAGE}/{name.replace('.', '/')}.py"


def room_of(name: str) -> str:
    """Return the room of a module, or the group of one inside `lm`: what its file lies in; empty at the top."""
    return name.rpartition(".")[0]


def dotted(name: str) -> str:
    """Return the name that a module is imported by."""
    return f"{PACKAGE}.{name}".removesuffix(".__init__")


def storey(name: str) -> tuple[int, int]:
    """Return how high a module stands: the place of its room, and inside `lm` that of its group; its own modules stand on all groups."""
    room, *rest = name.split(".")
    place = (*FOUNDATION, *ROOMS, *TOP).index(room)
    group = LM_GROUPS.index(rest[0]) if room == "lm" and rest[0] in LM_GROUPS else len(LM_GROUPS)
    return (max(place, len(FOUNDATION) - 1), group)


def strangers(sources: Sources) -> list[str]:
    """Find modules that stand in no room."""
    found, rooms = [], {*ROOMS, *(f"lm.{group}" for group in LM_GROUPS)}
    for name in sources:
        room = room_of(name)
        if not room and name not in (*FOUNDATION, *TOP):
            found.append(
                f"{file_of(name)}: the top level holds {', '.join((*FOUNDATION, *TOP))} and nothing else; move it into {_choice()}"
            )
        elif room and room not in rooms:
            found.append(f"{file_of(name)}: there is no room {room.replace('.', '/')}; move it into {_choice()}")
    plates = {f"{room_of(name)}.__init__".lstrip(".") for name in sources}
    lacking = sorted(file_of(name) for name in {*FOUNDATION, *TOP, *plates} if name not in sources)
    return found + [f"{path}: it is not there, and each room and the top have theirs; bring it back" for path in lacking]


def _choice() -> str:
    return f"one of the rooms {', '.join(ROOMS)} (docs/architecture.md says what belongs where)"


def crowded_rooms(sources: Sources) -> list[str]:
    """Find rooms with more modules than a newcomer looks through."""
    members: dict[str, list[str]] = {}
    for name in sources:
        if room_of(name) and not name.endswith("__init__"):
            members.setdefault(room_of(name), []).append(name)
    return [
        f"{PACKAGE}/{room.replace('.', '/')}: {len(names)} modules, and a room holds at most {MOST_MODULES}; merge two of "
        f"{', '.join(name.rpartition('.')[2] for name in sorted(names))}, or move one to the room where it is at home"
        for room, names in members.items()
        if len(names) > MOST_MODULES
    ]


def busy_door_plates(sources: Sources) -> list[str]:
    """Find rooms whose `__init__` is more than a docstring."""
    found = []
    for name, text in sources.items():
        if not name.endswith(".__init__"):
            continue
        tree = ast.parse(text)
        if not ast.get_docstring(tree) or len(tree.body) > 1:
            found.append(
                f"{file_of(name)}: a room's __init__ is one docstring that says what the room holds, and imports nothing; name a "
                "definition by its module, and public names in surveysim/__init__.py"
            )
    return found


def imports(name: str, sources: Sources) -> set[str]:
    """Return the modules of the package that one imports: at its head, in a function, or for type checking alone."""
    return {module for module in (_module_of(found, sources) for found, _ in _imported(sources[name])) if module and module != name}


def _imported(text: str) -> Iterator[tuple[str, int]]:
    """Yield what a module imports, with the line: import statements wherever they stand, and import_module of a name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{'.' * node.level}{node.module or ''}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((str(given.value), node.lineno) for given in node.args[:1] if isinstance(given, ast.Constant))


def _module_of(imported: str, sources: Sources) -> str:
    """Return the module of the package that an imported name lies in; empty where it is none of ours."""
    package, _, rest = imported.partition(".")
    if package != PACKAGE:
        return ""
    parts = rest.split(".") if rest else []
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in sources), "__init__")


def upward_imports(sources: Sources) -> list[str]:
    """Find imports of what stands above, and relative ones, which do not say where that is; modules in no room are left to `strangers`."""
    found = []
    known = {name for name in sources if name.split(".")[0] in (*FOUNDATION, *ROOMS, *TOP)}
    for name in known:
        found += [
            f"{file_of(name)}, line {line}: a relative import; write the module's whole name"
            for imported, line in _imported(sources[name])
            if imported.startswith(".")
        ]
        for module in sorted(imports(name, sources) & known):
            if storey(module) > storey(name):
                found.append(f"{file_of(name)} imports {file_of(module)}, which stands above it; {ORDER}: move the definition down")
    return sorted(found)


def circles(sources: Sources) -> list[str]:
    """Find modules that import one another in a circle."""
    try:
        TopologicalSorter({name: imports(name, sources) for name in sources}).prepare()
    except CycleError as error:
        way = " -> ".join(map(file_of, error.args[1]))
        return [f"{way}: a circle of imports; move what both need into a module that imports neither"]
    return []


def misplaced_packages(sources: Sources) -> list[str]:
    """Find imports of models outside `lm`, or in its prompts, and of drawing outside `figures`; in functions too."""
    found = []
    for name, text in sources.items():
        for imported, line in _imported(text):
            package = imported.split(".")[0]
            if package in MODELS and not (name.startswith("lm.") and not name.startswith("lm.prompts.")):
                rule = f"imports {package}, which belongs below lm/ and not in lm/prompts; move what needs it into surveysim/lm"
            elif package in FIGURES and not name.startswith("figures."):
                rule = f"imports {package}, which belongs in figures/; move the drawing into surveysim/figures"
            else:
                continue
            found.append(f"{file_of(name)}, line {line}: {rule}")
    return found


def long_signatures(sources: Sources) -> list[str]:
    """Find functions and methods with too many parameters that a call may give without their names."""
    found = []
    for name, text in sources.items():
        tree = ast.parse(text)
        for holder in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            for node in holder.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (count := _positional(node)) > MOST_POSITIONAL:
                    found.append(
                        f"{file_of(name)}, line {node.lineno}: {node.name} has {count} positional parameters, and a call of more than "
                        f"{MOST_POSITIONAL} cannot be read; put * before those that a call should name"
                    )
    return found


def _positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names[1:] if names[:1] in (["self"], ["cls"]) else names)


def mirror_of(name: str) -> str:
    """Return the test file that mirrors a module, path for path; what stands at the top has its own in tests/whole."""
    room, _, module = name.rpartition(".")
    return f"tests/{room.replace('.', '/') or 'whole'}/test_{module.strip('_')}.py"


def unmirrored(sources: Sources, tests: Collection[str], covered_by: Mapping[str, str]) -> list[str]:
    """Find modules without a test file of their own path, and entries of `covered_by` (module -> test file) that are out of date."""
    modules = [name for name in sources if not name.endswith("__init__")]
    found = []
    for name in modules:
        own = mirror_of(name)
        if own not in tests and name not in covered_by:
            found.append(f"{file_of(name)}: tests mirror the package path for path; write {own}, or say in COVERED which file tests it")
        if own in tests and name in covered_by:
            found.append(f"COVERED: {name!r} has its own {own} now; take its entry out")
    found += [f"COVERED: {name!r} is no module any more; take its entry out" for name in covered_by if name not in modules]
    found += [
        f"COVERED: {name!r}: {path} is not there; name the file that tests it" for name, path in covered_by.items() if path not in tests
    ]
    mirrored = {mirror_of(name) for name in modules}
    rooms = {path.rpartition("/")[0] for path in mirrored} - {"tests/whole"}
    return found + [
        f"{path}: no module {PACKAGE}/{path.removeprefix('tests/').replace('test_', '')} that it mirrors; rename it after its module"
        for path in sorted(tests)
        if path.rpartition("/")[0] in rooms and path not in mirrored and path not in covered_by.values()
    ]
