"""Multiple-response batteries: yes/no columns that are the answers to one question."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby

import numpy as np
import pandas as pd

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


def only_mentions(drafts: Sequence[DraftVariable], sets: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return variable -> why it is no question, of the columns of a battery that hold one answer ("Mentioned", 1) and are empty otherwise.

    Whether an empty cell says "not mentioned" or "not asked" no file tells, so that none is made an answer here.

    Parameters
    ----------
    drafts : sequence of DraftVariable
        In the order of the file.
    sets : mapping of str to tuple of str
        The file's own multiple-response sets.
    """
    one = {draft.name: draft for draft in drafts if _is_mention(draft)}
    by_case = {name.casefold(): name for name in one}
    found: dict[str, str] = {}
    for name, declared in sets.items():
        found.update(
            _why_mentions(name.lstrip("$"), [one[by_case[member.casefold()]] for member in declared if member.casefold() in by_case])
        )
    for stem_of in (_stem_of_name, _stem_of_label):
        for stem, run in groupby(drafts, key=partial(_stem_among, names=one, stem_of=stem_of)):
            members = [draft for draft in run if draft.name not in found]
            if stem and len(members) >= _FEWEST:
                found.update(_why_mentions(stem, members))
    return found


def _stem_among(draft: DraftVariable, names: Collection[str], stem_of: Callable[[DraftVariable], str]) -> str:
    return stem_of(draft) if draft.name in names else ""


def _is_mention(draft: DraftVariable) -> bool:
    if len(draft.options) > 1 or draft.missing or draft.variable.missing:
        return False
    return draft.n_distinct == 1 and bool(_is_blank(draft).any())


def _is_blank(draft: DraftVariable) -> np.ndarray:
    empty = np.asarray(pd.isna(draft.values))
    return empty | np.array([isinstance(cell, str) and not cell.strip() for cell in draft.values]) if draft.is_text else empty


def _why_mentions(battery: str, members: Sequence[DraftVariable]) -> dict[str, str]:
    if len(members) < 2:
        return {}
    n = int((~np.logical_and.reduce([_is_blank(draft) for draft in members])).sum())
    why = (
        f"one answer, otherwise empty, as all {len(members)} columns of {battery!r}; {n:,} of {len(members[0].values):,} respondents gave "
        "one of them: where an empty cell of theirs says 'not mentioned', write a labelled 0 into it, and draft again"
    )
    return dict.fromkeys((draft.name for draft in members), why)


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
