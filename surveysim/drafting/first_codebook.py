"""A first codebook drafted from a labelled file's own metadata, for the user to finish."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from surveysim.codebook.ddi_study import read_ddi
from surveysim.codebook.questions import Code
from surveysim.drafting.batteries import batteries_of, only_mentions
from surveysim.drafting.ddi_wording import DdiWording, with_ddi
from surveysim.drafting.toml_text import comments, drafted_levels, head_text, key, level_text, question_text, toml_string, trait_text
from surveysim.drafting.variables import MOST_OPTIONS, DraftVariable, draft_variables
from surveysim.drafting.which_weight import Weights, weights_of
from surveysim.drafting.who_is_meant import (
    Guess,
    ages,
    birth_years,
    codes_outside,
    genders,
    is_somebody_else,
    respondents_age,
    respondents_gender,
)
from surveysim.errors import CodebookError, ReadError
from surveysim.files.readers import LABELLED, file_suffix, read_columns
from surveysim.tables.names import known_names_of
from surveysim.tables.reading_order import TABLE_COLUMNS
from surveysim.whole_files import write_whole

_AGE_EDGES = (18, 35, 55)
_HIGHEST_AGE = 120


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a file's variables become."""

    drafts: Sequence[DraftVariable]
    named: Sequence[DraftVariable]
    weights: Weights
    gender: Guess | None
    age: Guess | None

    @cached_property
    def questions(self) -> list[DraftVariable]:
        """Variables that become questions."""
        return [draft for draft in self.drafts if draft.name not in self.used and draft.name not in self.left_out]

    @cached_property
    def used(self) -> set[str]:
        """Names of variables that become traits or weights."""
        chosen = [guess.chosen for guess in (self.gender, self.age) if guess is not None]
        return {draft.name for draft in (*self.named, *chosen, *(draft for draft, _ in self.weights.found))}

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Variables that are neither questions nor used otherwise, each with the reason."""
        reasons = {draft.name: self._why_not(draft) for draft in self.drafts if draft.name not in self.used}
        return {name: why for name, why in reasons.items() if why}

    def _why_not(self, draft: DraftVariable) -> str:
        for guess, what in ((self.gender, "gender"), (self.age, "age")):
            if guess is not None and draft.name in guess.rivals:
                return f"{what} again; {guess.chosen.name!r} was taken"
        return "the gender of somebody other than the respondent" if genders(draft) and is_somebody_else(draft) else draft.why_not


def draft_codebook(
    path: str | Path,
    output: str | Path | None = None,
    *,
    traits: str | Sequence[str] = (),
    ddi: str | Path | None = None,
    encoding: str | None = None,
    isolated: bool = False,
) -> Path:
    """Write a first codebook from a labelled file's own metadata, for you to finish.

    Every variable with 2 to 12 labelled answers becomes a question: its wording is the variable's label and has to be replaced
    by the questionnaire's; it says ``verified = false`` until then. The respondent's gender and age become traits, and so do the
    variables named in `traits`, with a level for each labelled answer. Weights come with the default first: the one that the file
    itself declares, else by the rule of a known survey. Declared missing codes and labels such as "Refused", in fourteen
    languages, become missing codes with their reason. What was guessed has a comment, and the draft ends with the variables that
    were left out, each with the reason; `add_question` takes one of them.

    Parameters
    ----------
    path : str or Path
        A .sav, .zsav, .dta, .por or .sas7bdat file; with `ddi` also one without labels, as .csv.
    output : str or Path, optional
        The .toml file to write; default one beside the working directory's files, named after `path`.
    traits : str or sequence of str, optional
        Further variables that make the backgrounds (education, region), in the order in which prompts name them.
    ddi : str or Path, optional
        The study's DDI-Codebook file (.xml), as archives give it beside the data. It gives the questions' wording, whom they were put
        to, labels and missing codes that the data file lacks, weights, and the facts of the survey. A DDI file of several data files
        is read for the one whose variables `path` holds.
    encoding : str, optional
        As in `read_survey`.
    isolated : bool
        As in `read_survey`: an SPSS or Stata file of somebody else is read in a child process.

    Returns
    -------
    Path
        The codebook; `load_codebook` reads it as it is.

    Raises
    ------
    ReadError
        If the format has no labels, or the file cannot be read.
    CodebookError
        If `output` exists already or is no .toml file, no variable has labelled answers, or one of `traits` is not in the file
        or cannot be levels; the message says why. If `ddi` is no DDI-Codebook file, declares entities, or is of another file: fewer
        than half of the variables, or of the labels, match. Where fewer than nine in ten do, the draft says how many.

    Examples
    --------
    >>> import tempfile
    >>> from importlib.resources import files
    >>> from pathlib import Path
    >>> import surveysim as ss
    >>> release = files("surveysim") / "data" / "nonvoters2020.sav"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draft = ss.load_codebook(ss.draft_codebook(release, Path(folder) / "mine.toml", traits=["educ"]))
    >>> draft.question("Q8_8").codes, draft.question("Q8_8").verified, draft.weights[0].variable
    ((1, 2, 3, 4), False, 'weight')
    >>> list(draft.traits), draft.trait("educ").levels[0].text
    (['gender', 'age', 'educ'], 'whose educ is High school or less')
    """
    path = Path(path)
    target = Path(f"{_stem(path)}.toml") if output is None else Path(output)
    if target.suffix != ".toml":
        raise CodebookError(f"output={str(target)!r}: a codebook's name ends in .toml")
    if target.exists():
        raise CodebookError(f"{str(target)!r} exists already; name another output=, or remove it first")
    if ddi is None and path.is_file() and file_suffix(path) not in LABELLED:
        raise ReadError(
            f"{path.name} carries no labels to draft a codebook from; use a {', '.join(LABELLED)} file, or give the study's DDI file, ddi="
        )
    raw, wording = read_columns(path, encoding=encoding, isolated=isolated), DdiWording()
    if ddi is not None:
        raw, wording = with_ddi(raw, read_ddi(ddi))
    drafts = draft_variables(raw, wording)
    parts = _parts(drafts, _named(drafts, traits, path.name), raw.weight)
    if not parts.questions:
        raise CodebookError(f"{path.name}: no variable has 2 to {MOST_OPTIONS} labelled answers; write the codebook by hand")
    head = head_text(path.name, target.stem, wording.facts, wording.remark, parts.weights.replicates)
    text = "\n".join([head, *_body(path, target, parts, raw.sets)])
    return write_whole(target, lambda place: place.write_text(text, encoding="utf-8"))


def _parts(drafts: Sequence[DraftVariable], named: Sequence[DraftVariable], declared: str) -> _Parts:
    others = [draft for draft in drafts if draft not in named]
    return _Parts(drafts, named, weights_of(others, declared), respondents_gender(others), respondents_age(others))


def _named(drafts: Sequence[DraftVariable], traits: str | Sequence[str], file: str) -> list[DraftVariable]:
    """Return the variables that the user says are traits."""
    found = {draft.name: draft for draft in drafts}
    names = known_names_of(traits, "traits", found, error=CodebookError, lacking=f"{file} has no variable", needed=False)
    for name in names:
        if not found[name].is_question:
            raise CodebookError(
                f"traits: variable {name!r} of {file} cannot be levels: {found[name].why_not}; leave it out, and write "
                f"[traits.{key(name)}] into the draft by hand, with codes or a range for each level"
            )
    return [found[name] for name in names]


def _body(path: Path, target: Path, parts: _Parts, sets: Mapping[str, tuple[str, ...]]) -> list[str]:
    questions = parts.questions
    batteries = batteries_of(questions, sets)
    taken = {draft.name for draft in questions}
    return [
        *(_weight(draft, remark) for draft, remark in parts.weights.found),
        *_gender(parts.gender, taken),
        *_age(parts.age, taken),
        *map(_named_trait, parts.named),
        *(question_text(draft, batteries.get(draft.name, "")) for draft in questions),
        *_left_out(path, target, parts, only_mentions(parts.drafts, sets)),
    ]


def _weight(draft: DraftVariable, remark: str) -> str:
    return "\n".join(
        [
            *comments([remark] if remark else []),
            f"[weights.{key(draft.name)}]",
            f"label = {toml_string(draft.variable.label)}",
            'use = ""',
            "",
        ]
    )


def _gender(guess: Guess | None, taken: set[str]) -> list[str]:
    if guess is None:
        return []
    texts = genders(guess.chosen)
    names = {"a man": "male", "a woman": "female"}
    named = drafted_levels({code: names.get(text, guess.chosen.options[code].lower()) for code, text in texts.items()})
    name = next(name for name in ("gender", "gender_of_respondent", "respondent_gender_draft") if name not in taken)
    levels = [level_text(named[code], text, _codes(guess.chosen, code)) for code, text in texts.items()]
    return [trait_text(guess.chosen, name, levels, remarks=_rivals(guess))]


def _age(guess: Guess | None, taken: set[str]) -> list[str]:
    if guess is None:
        return []
    low = min(_AGE_EDGES[0], int(ages(guess.chosen).min()))
    groups = zip((low, *_AGE_EDGES[1:]), (*(edge - 1 for edge in _AGE_EDGES[1:]), _HIGHEST_AGE), strict=True)
    levels = [
        f'{{ name = "{low}-{high}", text = "aged {low} to {high}", range = [{low}, {high}] }}' if high < _HIGHEST_AGE
        else f'{{ name = "{low}+", text = "aged {low} or older", range = [{low}, {high}] }}'
        for low, high in groups
    ]  # fmt: skip
    name = next(name for name in ("age", "age_group", "age_of_respondent", "respondent_age_draft") if name not in taken)
    odd = dict.fromkeys(codes_outside(guess.chosen), "other")
    return [trait_text(guess.chosen, name, levels, remarks=[*_rivals(guess), *guess.remarks], missing=odd)]


def _rivals(guess: Guess) -> list[str]:
    if not guess.rivals:
        return []
    rivals = ", ".join(map(repr, guess.rivals))
    return [f"{guess.chosen.name!r} was taken; {rivals} would do by name and labels too: check which is the respondent's"]


def _codes(draft: DraftVariable, code: Code) -> list[Code]:
    return [code, *(further for further, option in draft.merged.items() if option == code)]


def _named_trait(draft: DraftVariable) -> str:
    """A trait that the user named: gender in its own words, else a level for each labelled answer, in words still to be replaced."""
    told = {code: f"whose {draft.name} is {label}" for code, label in draft.options.items()} | genders(draft)
    levels = [level_text(name, told[code], _codes(draft, code)) for code, name in drafted_levels(draft.options).items()]
    return trait_text(draft, f"{draft.name}_group" if draft.name in TABLE_COLUMNS else draft.name, levels)


def _left_out(path: Path, target: Path, parts: _Parts, mentions: Mapping[str, str]) -> list[str]:
    """Return the comments that end a draft: each variable that is nowhere above, with the reason."""
    weighted = parts.weights.replicates.removesuffix("*")
    reasons = {name: why for name, why in parts.left_out.items() if not (weighted and name.startswith(weighted))}
    if not reasons:
        return []
    born = (
        []
        if parts.age
        else [f"{draft.name} is a year of birth: [traits.age] with subtract_from makes ages of it" for draft in birth_years(parts.drafts)]
    )
    lines = comments(
        [
            f'Left out, {len(reasons)} variables. To ask one all the same: add_question({target.name!r}, {path.name!r}, "<variable>"), or',
            f"surveysim describe {path.name} --codebook {target.name} --add <variable>",
            *(f"- {name}: {mentions.get(name, why)}" for name, why in reasons.items()),
            *born,
        ]
    )
    return [*lines, ""]


def _stem(path: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", path.name.lower().split(".")[0]).strip("_") or "survey"
