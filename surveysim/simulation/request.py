"""What the simulating verbs are asked for, checked, and what their tables say of it: survey, questions, backgrounds, method, model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from pandas.api.types import is_list_like

from surveysim.baselines.fitting import check_takes_prior
from surveysim.baselines.methods import BASELINES
from surveysim.baselines.predictors import GroupPredictors
from surveysim.baselines.prior import Prior, PriorLike, prior_of
from surveysim.baselines.prior_cells import with_prior_questions
from surveysim.codebook.backgrounds import background_grid, checked_traits, parse_background_id, with_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import BackgroundError, SurveySimError, first_few, quoted
from surveysim.estimation.distributions import cell_shares
from surveysim.files.frames import is_frame, pandas_frame
from surveysim.survey.domains import domain_facts
from surveysim.survey.reading import as_survey
from surveysim.survey.survey import Survey
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, OPTION, QUESTION, SHARE, N

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel

    Backgrounds: TypeAlias = IntoFrame | str | Sequence[str]


MODEL_METHODS = ("dsa", "dsa-kernel", "stage1", "zero-shot")


def as_backgrounds(backgrounds: Backgrounds | Mapping[str, Sequence[str]]) -> Backgrounds:
    """Return backgrounds as they are, or, of a mapping of traits to columns of levels, as a frame.

    Raises
    ------
    BackgroundError
        If the columns are none, or of unequal length.

    Examples
    --------
    >>> from surveysim.simulation.request import as_backgrounds
    >>> len(as_backgrounds({"gender": ["female", "male"], "age": ["old", "old"]}))
    2
    """
    if not isinstance(backgrounds, Mapping):
        return backgrounds
    remedy = "for every combination of levels give the traits' names, or background_grid(codebook, by=[...])"
    odd = [f"{trait}: {quoted(levels)}" for trait, levels in backgrounds.items() if isinstance(levels, str) or not is_list_like(levels)]
    if odd or not backgrounds:
        raise BackgroundError(f"backgrounds must map each trait to a list of levels, one a row; got {first_few(odd) or 'none'}; {remedy}")
    lengths = {trait: len(list(levels)) for trait, levels in backgrounds.items()}
    if len(set(lengths.values())) > 1:
        said = first_few(f"{trait} {length}" for trait, length in lengths.items())
        raise BackgroundError(
            f"backgrounds has columns of unequal length ({said}); a mapping is taken as columns, a background a row: {remedy}"
        )
    return pd.DataFrame({trait: list(levels) for trait, levels in backgrounds.items()})


def about_survey(survey: Survey, seed: int) -> dict[str, object]:
    """Return what a simulated table says about the respondents it was learnt from."""
    return {
        "simulated": True,
        "survey": survey.codebook.name,
        "n_respondents": len(survey) if survey.domain is None else int(survey.domain.sum()),
        **domain_facts(survey),
        "weight": survey.weight_name,
        "denominator": "valid answers",
        "design": survey.design.description,
        "seed": seed,
    }


def about_model(model: OptionModel, method: str) -> dict[str, object]:
    """Return what a simulated table says about the language model."""
    return {
        "model": model.backbone.name,
        "model_sha256": model.backbone.digest,
        "method": method,
        "prompt": model.template.to_dict(),
        "stages": list(model.recipe.get("stages", [])),
    }


def check_method(method: str, model: OptionModel | None) -> None:
    """Refuse a model that the method would not use, or would use otherwise than was asked for."""
    if model is None:
        return
    from surveysim.lm.option_model import require_model

    require_model(model)
    if method in BASELINES:
        raise SurveySimError(f"method {method!r} is a classical baseline and uses no language model; leave model= out")
    if model.aligned and method not in ("dsa", aligned_by(model)):  # "dsa" is the default: not asked for
        raise SurveySimError(
            f"method {method!r} needs a base model, but this one is aligned already ({aligned_by(model)!r}); give model=load_model(...)"
        )


def aligned_by(model: OptionModel) -> str:
    """Return the method that an aligned model stands for."""
    return "dsa" if len(model.recipe.get("stages", ())) > 1 else "stage1"


def require_survey(
    df: Survey | IntoFrame,
    codebook: CodebookLike | None,
    weight: str | None,
    *,
    questions: str | Sequence[str] | None = None,
    backgrounds: Backgrounds = (),
) -> Survey:
    """Return a survey as it is, or a frame of respondents as a survey of the questions and traits that the call uses.

    Raises
    ------
    SurveySimError
        If a survey comes with a codebook or weight, or a frame without a codebook.
    """
    if isinstance(df, Survey):
        if codebook is not None or weight is not None:
            raise SurveySimError("a Survey brings its own codebook and weight; leave codebook= and weight= out")
        return df
    if isinstance(df, str | PathLike):
        raise SurveySimError(f"df must be a Survey or a frame of respondents; got the path {str(df)!r}: give read_survey({str(df)!r})")
    if codebook is None:
        raise SurveySimError("a plain frame needs codebook=: the name of a shipped codebook or the path of a .toml file")
    book = load_codebook(codebook)
    return as_survey(df, book, weight=weight, questions=questions, traits=background_traits(backgrounds, book))


def background_traits(backgrounds: Backgrounds, codebook: Codebook) -> list[str]:
    """Return the traits that backgrounds are made of, in the codebook's order.

    Raises
    ------
    BackgroundError
        If a trait is unknown.
    """
    if is_frame(backgrounds):
        named = list(checked_traits(pandas_frame(backgrounds, "backgrounds").drop(columns=BACKGROUND, errors="ignore"), codebook))
    else:
        named = codebook.traits_named(backgrounds, "backgrounds", error=BackgroundError, needed=False)  # type: ignore[arg-type]
    return [name for name in codebook.traits if name in named]


def requested_backgrounds(backgrounds: Backgrounds, codebook: Codebook) -> pd.DataFrame:
    """Return a frame of backgrounds with their ids, from a frame of trait columns or from names of traits.

    Raises
    ------
    BackgroundError
        If a trait or level is unknown, nothing is asked for, or a background stands there twice.
    """
    if is_frame(backgrounds):
        return with_background_id(pandas_frame(backgrounds, "backgrounds").drop(columns=BACKGROUND, errors="ignore"), codebook)
    return background_grid(codebook, by=codebook.traits_named(backgrounds, "backgrounds", error=BackgroundError))  # type: ignore[arg-type]


def check_known_traits(model: OptionModel, grid: pd.DataFrame, codebook: Codebook) -> None:
    """Refuse backgrounds of other traits than the model was aligned with."""
    seen = {trait for identifier in model.recipe.get("backgrounds", ()) for trait in parse_background_id(identifier)}
    asked = {name for name in codebook.traits if name in grid}
    if seen and asked != seen:
        raise BackgroundError(
            f"backgrounds has traits {first_few(sorted(asked))}, but the model was aligned with {first_few(sorted(seen))}; "
            f"{first_few(sorted(asked ^ seen))} stands in one of them alone, so every background asked for is at least {len(asked ^ seen)} "
            f"of {len(asked | seen)} traits away from those it learnt from: align a model with these traits"
        )


def sample_and_prior(
    survey: Survey,
    traits: Sequence[str],
    questions: str | Sequence[str] | None,
    *,
    prior: PriorLike | None,
    method: str,
) -> tuple[pd.DataFrame, Prior | None]:
    """Return the sample's table, with rows of nobody for questions that only the prior knows, and the prior.

    Raises
    ------
    SurveySimError
        If the method takes no prior, or the prior cannot be used.
    CodebookError
        If neither survey nor prior has a question.
    """
    if prior is None:
        return cell_shares(survey, by=traits, questions=questions), None
    check_takes_prior(method)
    wanted = names_of(survey.questions if questions is None else questions, "questions", error=SurveySimError)
    asked = [name for name in wanted if name in survey.questions]
    known = prior_of(prior, traits, wanted)
    if not asked:
        raise SurveySimError(
            f"questions: the survey has none of {first_few(wanted)}; ask for one that it has as well, or use the prior's own table"
        )
    for name in wanted:
        survey.codebook.question(name)
    sample = cell_shares(survey, by=traits, questions=asked)
    _refuse_double_use(sample, known)
    return with_prior_questions(sample, known, wanted), known


def _refuse_double_use(sample: pd.DataFrame, prior: Prior) -> None:
    """Refuse a prior that has the sample's own shares in every cell with respondents."""
    keys = [QUESTION, BACKGROUND, OPTION]
    own = sample.loc[sample[N] > 0, [*keys, SHARE]].astype({OPTION: str})  # codes are compared as text
    for table in prior.tables:
        both = own.merge(table[[*keys, SHARE]].astype({OPTION: str}), on=keys, suffixes=("", "_prior"))
        seen = len(both) == int(own[QUESTION].isin(table[QUESTION]).sum()) > 0
        if seen and len(set(own[BACKGROUND])) > 1 and np.allclose(both[SHARE], both[f"{SHARE}_prior"], rtol=0, atol=1e-12):
            raise SurveySimError(
                f"prior {prior.name!r} has the sample's own shares: combined with the same respondents they would count twice; give what "
                "was known before them"
            )


def check_same_prior(model: OptionModel, prior: Prior | None) -> None:
    """Refuse another prior than an aligned model was aligned with.

    Raises
    ------
    SurveySimError
        If they differ.
    """
    recorded = model.recipe.get("prior") or {}
    if recorded.get("digest") != (None if prior is None else prior.digest):
        has = f"prior {recorded['name']!r}" if recorded else "no prior"
        given = "none" if prior is None else f"{prior.name!r}"
        raise SurveySimError(
            f"prior: the model was aligned with {has}, simulate was given {given}; give the same, or align a model with this one"
        )


def check_same_predictors(model: OptionModel, predictors: GroupPredictors | None) -> None:
    """Refuse other predictors of groups than an aligned model was aligned with; a recipe from before these were recorded is not asked.

    Raises
    ------
    SurveySimError
        If they differ.
    """
    if "group_predictors" not in model.recipe:
        return
    recorded = model.recipe["group_predictors"]
    if (recorded or {}).get("digest") == (None if predictors is None else predictors.digest):
        return
    has = f"{first_few(recorded['columns'])} of {first_few(recorded['traits'])}" if recorded else "none"
    given = "none" if predictors is None else f"{first_few(predictors.names)} of {first_few(predictors.traits)}"
    numbers = ", with other numbers" if has == given else ""
    raise SurveySimError(
        f"group_predictors: the model was aligned with {has}, simulate was given {given}{numbers}; give the same frame, or align a model "
        "with this one"
    )
