"""Multiple-response batteries: yes/no columns that are the answers to one question."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby

from surveysim.codebook.missing_labels import bare_label, plain_text
from surveysim.drafting.variables import DraftVariable

_FEWEST = 3  # columns of a battery that only their names and options tell; a set that the file declares may be smaller
_NOT = re.compile(
    "|".join(
        plain_text(word)
        for word in (
            r"^not?\b", r"^un(marked|checked|selected|ticked|mentioned)", r"^non\b", r"^nein\b", r"^nicht\b", r"^nao\b", r"^nie\b",
            r"^нет\b", r"^не\b", r"^hayir\b", "^لا", "^否", "^不", "^没", "^未", "^いいえ", "^아니", r"^nee\b", r"^niet\b", r"^nenhum",
        )
    )
)  # fmt: skip


def batteries_of(drafts: Sequence[DraftVariable], sets: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return variable -> battery: sets that the file declares, then neighbours of one stem with the same yes and no.

    Parameters
    ----------
    drafts : sequence of DraftVariable
        Those that become questions, in the order of the file.
    sets : mapping of str to tuple of str
        The file's own multiple-response sets.
    """
    two = {draft.name: draft for draft in drafts if is_yes_no(draft)}
    by_case = {name.casefold(): name for name in two}
    found: dict[str, str] = {}
    for name, declared in sets.items():
        known = [by_case[member.casefold()] for member in declared if member.casefold() in by_case]
        if len(known) > 1:
            found.update(dict.fromkeys(known, name.lstrip("$")))
    for stem_of in (_stem_of_name, _stem_of_label):
        for likeness, run in groupby(drafts, key=partial(_likeness, stem_of=stem_of)):
            members = [draft.name for draft in run if draft.name not in found]
            if likeness and len(members) >= _FEWEST:
                found.update(dict.fromkeys(members, str(likeness[0])))
    return found


def is_yes_no(draft: DraftVariable) -> bool:
    """Say whether one of two options denies what the other says."""
    return len(draft.options) == 2 and sum(map(_denies, draft.options.values())) == 1


@lru_cache(maxsize=4096)
def _denies(label: str) -> bool:
    return bool(_NOT.search(plain_text(bare_label(label))))


def _likeness(draft: DraftVariable, stem_of: Callable[[DraftVariable], str]) -> tuple[object, ...]:
    """Return what neighbours of one battery have in common: a stem, and the options; empty where the variable is no yes/no."""
    stem = stem_of(draft) if is_yes_no(draft) else ""
    return (stem, *draft.options.items()) if stem else ()


def _stem_of_label(draft: DraftVariable) -> str:
    """Return what stands before the first sign that ends a question ("Reads: papers", "Reads - books")."""
    found = re.match(r"(\S.{2,}?)\s*(?::|\s-|\s–|…|\.\.\.)\s", draft.variable.label)
    return found[1] if found and not re.fullmatch(r"\W*[A-Za-z]{0,3}[\d_.]+[a-z]?", found[1]) else ""


def _stem_of_name(draft: DraftVariable) -> str:
    found = re.fullmatch(r"(.*?[^\d_.])[_.]?\d+|(.+)[_.][A-Za-z]|(.*\d)[_.]\d+", draft.name)
    return next(filter(None, found.groups()), "") if found else ""
