"""The page on how the code is laid out: its lists are those of the package, and every file that it names is there."""

from __future__ import annotations

import re
from importlib import util
from types import ModuleType

import pytest

from tests.support.pages import PROJECT
from tests.support.rooms import LM_GROUPS, ROOMS

PAGE = PROJECT / "docs" / "architecture.md"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = util.spec_from_file_location("architecture_page", PROJECT / "docs" / "architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lists_are_those_of_the_package(writer: ModuleType) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == writer.written(text), "docs/architecture.md lists the modules; write it anew: python docs/architecture.py"


def test_pages_that_count_the_rooms_count_right() -> None:
    assert len(ROOMS) == 16, "the word in the pages below and in this test is sixteen"
    for page in (PAGE, PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"):
        counted = re.findall(r"(\w+teen|twenty) rooms", page.read_text(encoding="utf-8"))
        assert counted == ["sixteen"], f"{page.name}: {counted}"


def test_every_room_and_module_is_listed(writer: ModuleType) -> None:
    rooms, modules = ("\n".join(lines) for lines in (writer.rooms(), writer.modules()))
    for room in (*ROOMS, *(f"lm/{group}" for group in LM_GROUPS)):
        assert f"| {room}/ | " in rooms
    paths = [path.relative_to(PROJECT / "surveysim").as_posix() for path in (PROJECT / "surveysim").rglob("*.py")]
    listed = re.findall(r"^\| `(.+?)` \| \S.+ \|$", modules, flags=re.MULTILINE)
    assert sorted(listed) == sorted(path for path in paths if not path.endswith("/__init__.py"))


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w/.-]+(?:\.py|\.md|\.rst|\.txt|/))`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for name in named:
        assert any((folder / name).exists() for folder in (PROJECT / "surveysim", PROJECT)), f"docs/architecture.md: {name} is not there"


def test_every_registry_that_the_page_names_is_there() -> None:
    found = 0
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        for path, name in re.findall(r"`([\w/]+\.py)`: `([A-Z_]+)`", line):
            assert re.search(rf"^{name}\b", (PROJECT / "surveysim" / path).read_text(encoding="utf-8"), flags=re.MULTILINE), (
                f"{path}: {name}"
            )
            found += 1
    assert found >= 6
