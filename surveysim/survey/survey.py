"""`Survey`: respondents with weights, design, traits and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.design.adjustment import declared_replicates
from surveysim.design.calibration import Calibration
from surveysim.design.design import Design, kish_n_eff
from surveysim.design.replication import Replicates
from surveysim.errors import CodebookError, SurveySimError, first_few
from surveysim.files.frames import is_frame
from surveysim.html import facts_table
from surveysim.survey.reasons import Condition, domain_of, instead_of_column, refuse_attribute
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import FPC, PSU, RESPONDENT_ID, STRATUM, WEIGHT


@dataclass(frozen=True, eq=False)
class Survey:
    """Respondents of one survey wave, described by its codebook.

    Attributes
    ----------
    data : DataFrame
        A row per respondent: `respondent_id`, `weight` (>= 0; inverse probability or scaled to n), optional `stratum`,
        `psu`, every other weight variable under its own name, a column per trait (ordered categorical of level names,
        missing where the respondent has none) and per question (original codes, missing codes kept).
    reasons : DataFrame
        A column per question: why the cell holds no valid answer (``refused dont_know no_answer not_applicable not_asked other``),
        missing where it holds one.
    codebook : Codebook
    weight_name : str
        Where `weight` came from.
    notes : tuple of str
        What was done: encoding used, respondents outside a trait's ranges, weights raked, and the like.
    calibrations : tuple of Calibration
        How the weight was adjusted to known totals (`rake`, `calibrate`, `poststratify_weights`): standard errors need it.
    replicates : Replicates, optional
        Replicate weights; they take the place of linearisation.
    trait_reasons : DataFrame
        As `reasons`, a column per trait: why a respondent has no level.
    domain : bool array, shape ``(respondents,)``, optional
        Whom estimates are of (`filter`); None: all respondents. `domain_words` says it in words.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> len(survey), survey.weight_name, survey.traits[:2], survey.questions[:2]
    (5836, 'weight', ('gender', 'age3'), ('Q2_1', 'Q2_2'))
    >>> int((survey.reasons["Q8_8"] == "refused").sum()), survey.design.degrees_of_freedom
    (29, 5835)
    """

    data: pd.DataFrame
    reasons: pd.DataFrame
    codebook: Codebook
    weight_name: str
    notes: tuple[str, ...] = field(default=())
    calibrations: tuple[Calibration, ...] = field(default=())
    replicates: Replicates | None = None
    trait_reasons: pd.DataFrame = field(default_factory=pd.DataFrame)
    domain: np.ndarray | None = None
    domain_words: str = ""

    @property
    def questions(self) -> tuple[str, ...]:
        """Ids of the questions that the data hold."""
        return tuple(self.reasons.columns)

    @property
    def traits(self) -> tuple[str, ...]:
        """Names of the traits that the data hold."""
        return tuple(name for name in self.codebook.traits if name in self.data)

    @cached_property
    def design(self) -> Design:
        """The sampling design that the data describe: weight, and strata, PSUs and population sizes where there are any."""
        strata, psu, fpc = (self.data[name].to_numpy() if name in self.data else None for name in (STRATUM, PSU, FPC))
        weights = self.data[WEIGHT].to_numpy(float)
        design = Design(weights, strata=strata, psu=psu, fpc=fpc, calibrations=self.calibrations, replicates=self.replicates)
        declared = self.codebook.design
        columns = [name for name in self.data if any(fnmatchcase(name.lower(), one) for one in declared.replicate_weights.lower().split())]
        if design.replicates is not None or not columns:
            return design
        return declared_replicates(design, self.data[columns].to_numpy(float), declared.replicate_method)

    def with_design(self, design: Design, note: str) -> Survey:
        """Return the same respondents with the weights, calibrations and replicates of another design, and a note of it."""
        change = f"{note}; n_eff {self.design.n_eff:.1f} -> {design.n_eff:.1f}"
        data = self.data.assign(**{WEIGHT: design.weights})
        return replace(self, data=data, notes=(*self.notes, change), calibrations=design.calibrations, replicates=design.replicates)

    def __len__(self) -> int:
        return len(self.data)

    def filter(self, condition: Condition) -> Survey:
        """Return the survey with estimates of some respondents alone, a domain: all of them stay in the design, as standard errors need.

        Parameters
        ----------
        condition : str, callable or bool array, shape ``(respondents,)``
            ``"gender == 'female' and Q8_8 <= 2"`` on levels and codes, as pandas' ``query``; a function of such a frame; or a mask. What is
            no answer is missing there. A second filter narrows the first.

        Raises
        ------
        BackgroundError
            If a name is unknown, or the condition holds for nobody or is none.

        Examples
        --------
        >>> import surveysim as ss
        >>> women = ss.load_example("nonvoters2020").filter("gender == 'female'")
        >>> ss.response_distributions(women, questions="Q8_8").n.unique().tolist(), len(women)
        ([2880], 5836)
        """
        inside, words = domain_of(condition, self.data, self.reasons, self.traits, self.domain)
        return replace(self, domain=inside, domain_words=" and ".join(filter(None, (self.domain_words, words))))

    def select(self, *names: str | Sequence[str]) -> Survey:
        """Return the survey of some questions and traits, named one by one or in a list; respondents, weights and design stay.

        Raises
        ------
        CodebookError
            If the survey has no question or trait of such a name; the message names the nearest.

        Examples
        --------
        >>> import surveysim as ss
        >>> small = ss.load_example("nonvoters2020").select("gender", "Q8_8")
        >>> small.traits, small.questions, len(small)
        (('gender',), ('Q8_8',), 5836)
        """
        known, lacking = (*self.traits, *self.questions), "the survey has no question or trait"
        given = names[0] if len(names) == 1 else names
        wanted = known_names_of(given, "names", known, error=CodebookError, lacking=lacking, may_be_added=True)
        reasons, others = (frame[[name for name in frame if name in wanted]] for frame in (self.reasons, self.trait_reasons))
        return replace(self, data=self.data.drop(columns=[*({*known} - {*wanted})]), reasons=reasons, trait_reasons=others)

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first respondents, those of the domain, to look at: id, weight, levels and codes.

        Examples
        --------
        >>> import surveysim as ss
        >>> ss.load_example("nonvoters2020").select("gender", "Q8_8").head(3).columns.tolist()
        ['respondent_id', 'weight', 'gender', 'Q8_8']
        """
        shown = self.data if self.domain is None else self.data[self.domain]
        return shown[[RESPONDENT_ID, WEIGHT, *self.traits, *self.questions]].head(n)

    def __getitem__(self, name: object) -> NoReturn:
        raise SurveySimError(instead_of_column(name, (*self.traits, *self.questions)))

    if not TYPE_CHECKING:  # which would take every attribute for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            refuse_attribute(self, name)

    def __setitem__(self, name: object, _values: object) -> NoReturn:
        raise SurveySimError(f"a survey is not changed in place: recode {name!r} in the codebook, as a trait or question, and read again")

    def take(self, rows: np.ndarray) -> Survey:
        """Return the survey of some respondents: a boolean mask or positions, shape ``(respondents,)``.

        For a sample drawn from the respondents. A domain is no subset: use ``by=`` of the verbs, or `filter`.

        Examples
        --------
        >>> import numpy as np
        >>> import surveysim as ss
        >>> survey = ss.load_example("nonvoters2020")
        >>> drawn = survey.take(np.random.default_rng(0).choice(len(survey), 100, replace=False))
        >>> len(drawn), drawn.questions == survey.questions
        (100, True)
        """
        kept = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            data=self.data.iloc[kept].reset_index(drop=True),
            reasons=self.reasons.iloc[kept].reset_index(drop=True),
            trait_reasons=self.trait_reasons.reindex(range(len(self))).iloc[kept].reset_index(drop=True),
            calibrations=tuple(calibration.take(kept) for calibration in self.calibrations),
            replicates=None if self.replicates is None else self.replicates.take(kept),
            domain=None if self.domain is None else self.domain[kept],
        )

    def __repr__(self) -> str:
        of_whom = "" if self.domain is None else f", {int(self.domain.sum()):,} of them in the domain {self.domain_words}"
        return (
            f"Survey({self.codebook.name!r}: {len(self):,} respondents{of_whom}, {len(self.questions)} questions, "
            f"weight {self.weight_name!r}, traits {', '.join(self.traits)})"
        )

    def _repr_html_(self) -> str:
        weights = self.data[WEIGHT].to_numpy(float)
        weighted = f"{self.weight_name!r}, from {weights.min():.3g} to {weights.max():.3g}; Kish n_eff {kish_n_eff(weights):,.0f}"
        design = "; ".join(f"{self.data[name].nunique():,} {name} labels" for name in (STRATUM, PSU) if name in self.data)
        valid = self.reasons.isna().to_numpy().mean() if self.questions else 0.0
        facts = {
            "respondents": f"{len(self):,}",
            "domain": "" if self.domain is None else f"{self.domain_words}: {int(self.domain.sum()):,} respondents",
            "weight": weighted,
            "design": design or "no strata or PSUs: a weighted sample",
            "questions": f"{len(self.questions)}: {first_few(self.questions)}" if self.questions else "none",
            "valid answers": f"{valid:.1%}; na_table(survey) counts the others by reason",
            **{f"trait {name}": ", ".join(self.codebook.trait(name).level_names) for name in self.traits},
            "notes": "; ".join(self.notes),
        }
        return facts_table(f"{self.codebook.title} ({self.codebook.name})", facts)


def check_survey(survey: object, *, of_domains: bool = False) -> None:
    """Refuse what is no survey, and say how to make one of it; and a filtered one, where the verb does not estimate `of_domains`.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`, or is filtered.
    """
    if not isinstance(survey, Survey):
        made = "as_survey(frame, codebook)" if is_frame(survey) else "read_survey(path, codebook)"
        raise SurveySimError(
            f"survey must be a Survey, which brings weight, design and codebook; got {type(survey).__name__}: make one with {made}"
        )
    if survey.domain is not None and not of_domains:
        raise SurveySimError(
            f"survey is filtered ({survey.domain_words}), and this verb is for whole surveys: use it first and filter after; "
            "survey.take(mask) makes a sample of some respondents"
        )
