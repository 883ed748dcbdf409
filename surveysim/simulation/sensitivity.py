"""`prompt_sensitivity`: how far simulated shares depend on how the prompt is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from surveysim.baselines.methods import BASELINES
from surveysim.codebook.toml_file import CodebookLike
from surveysim.errors import PromptError, SurveySimError, first_few
from surveysim.lm.prompts.template import PromptTemplate
from surveysim.simulation.in_memory import simulate
from surveysim.simulation.request import as_backgrounds, background_traits, require_survey
from surveysim.survey.survey import Survey
from surveysim.tables.names import names_of
from surveysim.tables.schema import DISTRIBUTION_KEYS, QUESTION, SHARE

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel

Variants = Mapping[str, Sequence[PromptTemplate]]
EVERYTHING = "all prompts"
WORDINGS: tuple[dict[str, Any], ...] = (
    {"opening": "{question}\n{options}\n", "respondent": "Answer of {background}:"},
    {"opening": "From the questionnaire of {title}.\n{question}\nPossible answers:\n{options}\n", "option": "({letter}) {label}"},
    {"opening": "Survey question: {question}\nAnswer options:\n{options}\n", "respondent": "Imagine you are {background}. Your answer:"},
    {"opening": "In {year}, people in {country} were asked: {question}\n{options}\n", "respondent": "Asked: {background}.\nAnswered:"},
    {"opening": "Interviewer: {question}\nPlease choose one:\n{options}\n", "respondent": "Interviewee, {background}:"},
)


def prompt_variants(traits: str | Sequence[str] = (), template: PromptTemplate | None = None) -> dict[str, list[PromptTemplate]]:
    """Return other ways to write the same prompt: five wordings, the traits in other orders, the options in reversed order.

    Parameters
    ----------
    traits : str or sequence of str
        Of the backgrounds: named from the last to the first, and each but the first in front of the others. (A noun, such as
        "a woman", stays in front in any order; see `describe_background`.)
    template : PromptTemplate, optional
        What is varied; default the default template.

    Returns
    -------
    dict of str to list of PromptTemplate
        Keys ``"wording"``, ``"trait order"`` (with two traits or more) and ``"option order"``.

    Raises
    ------
    PromptError
        If `traits` holds no names.

    References
    ----------
    Sclar et al. (2024), Quantifying language models' sensitivity to spurious features in prompt design, arXiv:2310.11324.

    Examples
    --------
    >>> import surveysim as ss
    >>> {kind: len(templates) for kind, templates in ss.prompt_variants(["gender", "age3"]).items()}
    {'wording': 5, 'trait order': 1, 'option order': 1}
    """
    given = template or PromptTemplate()
    names = tuple(names_of(traits, "traits", error=PromptError, needed=False))
    orders = dict.fromkeys([names[::-1], *((name, *(other for other in names if other != name)) for name in names[1:])])
    variants = {
        "wording": [replace(given, **words) for words in WORDINGS],
        "trait order": [replace(given, traits=order) for order in orders if order != names],
        "option order": [replace(given, listing="reversed" if given.listing == "scale" else "scale")],
    }
    return {kind: templates for kind, templates in variants.items() if templates}


def prompt_sensitivity(
    df: Survey | IntoFrame,
    backgrounds: IntoFrame | str | Sequence[str] | Mapping[str, Sequence[str]],
    *,
    model: OptionModel | None = None,
    codebook: CodebookLike | None = None,
    questions: str | Sequence[str] | None = None,
    method: str = "dsa",
    variants: Variants | None = None,
    weight: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Simulate with the prompt written in several ways, and say how far the shares lie apart.

    For every cell and option, the standard deviation of the share over the prompts,
    :math:`\sqrt{\sum_t (\pi_t - \bar\pi)^2 / (T - 1)}`.

    Parameters
    ----------
    df, backgrounds, codebook, questions, method, weight, seed, progress
        As of `simulate`.
    model : OptionModel, optional
        A base model (default: the default model) is aligned anew with every prompt: what would have come out, had the prompt been
        written otherwise. An aligned model is asked otherwise than it was aligned.
    variants : mapping of str to sequence of PromptTemplate, optional
        What to vary, by kind; default `prompt_variants`. The model's own template is always among the prompts.

    Returns
    -------
    DataFrame
        A row per kind and question, and, where there are several kinds, per question over all prompts: `varied`, `question_id`,
        `n_prompts`, `share_sd` (mean over backgrounds and options; share, 0-1), `share_sd_largest`.

    Raises
    ------
    SurveySimError
        If the method reads no prompt, or `variants` is empty or has a kind without a template; else as of `simulate`.

    References
    ----------
    Sclar et al. (2024), Quantifying language models' sensitivity to spurious features in prompt design, arXiv:2310.11324.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> other = {"wording": [ss.PromptTemplate(respondent="I am {background}. My answer:")]}
    >>> spread = ss.prompt_sensitivity(
    ...     survey, ["gender"], questions=["Q8_8"], method="dsa-kernel", variants=other, progress=False
    ... )
    >>> spread.n_prompts.tolist(), bool(spread.share_sd.iloc[0] < 0.02)
    ([2], True)
    """
    from surveysim.lm.loading import load_model

    if method in BASELINES:
        raise SurveySimError(f"method {method!r} is a classical baseline and reads no prompt; leave it out")
    backgrounds = as_backgrounds(backgrounds)
    survey = require_survey(df, codebook, weight, questions=questions, backgrounds=backgrounds)
    given = load_model() if model is None else model
    kinds = prompt_variants(background_traits(backgrounds, survey.codebook), given.template) if variants is None else variants
    _check_variants(kinds)

    def shares(template: PromptTemplate) -> pd.Series:
        asked = replace(given, template=template)
        table = simulate(survey, backgrounds, model=asked, questions=questions, method=method, seed=seed, progress=progress)
        return table.set_index(DISTRIBUTION_KEYS)[SHARE]

    own = shares(given.template)
    tables = {kind: [shares(template) for template in templates] for kind, templates in kinds.items()}
    if len(tables) > 1:
        tables[EVERYTHING] = [table for each in list(tables.values()) for table in each]
    return pd.concat([_spread([own, *each], kind) for kind, each in tables.items()], ignore_index=True)


def _check_variants(variants: Variants) -> None:
    empty = [kind for kind, templates in variants.items() if not templates]
    if empty or not variants:
        raise SurveySimError(
            f"variants has no template{f' for {first_few(empty)}' if empty else ''}; give PromptTemplates, or leave it out"
        )


def _spread(shares: Sequence[pd.Series], kind: str) -> pd.DataFrame:
    apart = pd.concat(shares, axis=1).std(axis=1, ddof=1)
    by_question = apart.groupby(level=QUESTION, sort=False, observed=True)
    rows = pd.DataFrame({"share_sd": by_question.mean(), "share_sd_largest": by_question.max()}).reset_index()
    return rows.assign(varied=kind, n_prompts=len(shares))[["varied", QUESTION, "n_prompts", "share_sd", "share_sd_largest"]]
