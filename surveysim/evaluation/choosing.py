"""`choose_method`: which method estimates a survey's backgrounds best, by cross-validation, and an error honest about the choosing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import TAKE_PRIOR
from surveysim.baselines.methods import BASELINES
from surveysim.baselines.predictors import PREDICTORLESS
from surveysim.baselines.prior import PriorLike
from surveysim.codebook.codebook import Question
from surveysim.design.estimators import everyone, weighted_totals
from surveysim.errors import EvaluationError, SurveySimError, first_few, nearest
from surveysim.estimation.distributions import answer_positions
from surveysim.evaluation.scores import DEBIASED
from surveysim.evaluation.splits import background_of
from surveysim.inference.cross_errors import CrossErrors, HeldAnswers, Left, held_answers
from surveysim.inference.cross_fitting import draw_folds
from surveysim.progress import reported
from surveysim.simulation.in_memory import simulate
from surveysim.simulation.request import MODEL_METHODS, about_survey, requested_backgrounds
from surveysim.simulation.unseen import unseen_levels_expected
from surveysim.survey.domains import asked_questions, question_sample
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.cells import Array, to_cells
from surveysim.tables.intervals import normal_intervals
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import BACKGROUND, CONF_HIGH, CONF_LOW, ESTIMATE, METRIC, POPULATION_SHARE, STD_ERROR

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel

METHODS = ("raw", "pooled", "shrunken", "ridge", "mrp", "mean_tilt", "low_rank", "dsa-kernel")
CRAMER = "debiased_cramer_distance"
CHOOSING_METRICS = (DEBIASED, CRAMER)
FEWEST_FOLDS = 3  # one is the test, another the test of the choice, and somebody has to teach
RATIO, DIFFERENCE = "ratio", "difference"


def choose_method(
    survey: Survey,
    backgrounds: IntoFrame | str | Sequence[str],
    *,
    methods: str | Sequence[str] = METHODS,
    metric: str = DEBIASED,
    questions: str | Sequence[str] | None = None,
    folds: int = 5,
    model: OptionModel | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    lonely_psu: str = "adjust",
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Choose among methods by cross-validation on the survey itself, and state the chosen one's error by nested cross-validation.

    Respondents are dealt to folds, whole PSUs where there are any. Every method learns from all folds but one and is held against the
    respondents of that one. With p the shares estimated for a respondent's background, y the answer (1 at the option chosen) and m the
    mean answer of the background's respondents in other folds, the mean of

    .. math:: |p|^2 - 2\, p \cdot y + m \cdot y

    over respondents is the squared error against the population's shares: no sampling error of the test fold is left in it, for m and y
    come from different respondents (all three are taken less the mean answer of all, which changes the noise alone). The method with the
    smallest mean is chosen.

    The smallest of several estimates is too small on average. So the choice is made again without each fold in turn, by methods that
    learnt without that fold and a second one, and the method chosen so is held against the fold that had no part in it. The mean over folds
    is an error of the whole procedure, choice included. Methods learn from ``(folds - 1) / folds`` of the respondents there. What is left
    of the error with all of them is extrapolated, linearly in one over the number of respondents, from the fits without one and without two
    folds.

    Parameters
    ----------
    survey : Survey
    backgrounds : DataFrame or sequence of str
        As of `simulate`. Respondents of these are the test. Without `population_share`, backgrounds count by the survey's weights.
    methods : str or sequence of str
        At least two that `simulate` takes. Default the classical ones and "dsa-kernel", which loads a language model; "dsa" aligns one
        for every fit, ``folds (folds + 1) / 2`` in all.
    metric : {"debiased_squared_error", "debiased_cramer_distance"}
        The first is the sum over options of squared differences of shares, as of `evaluate`. The second takes cumulative shares,
        ``sum_k (F_k - G_k)^2 / (K - 1)``, so that near options count as near; on a nominal question half the first.
    questions : str or sequence of str, optional
        Default all of the survey's; all count alike.
    folds : int
        At least 3.
    model : OptionModel, optional
        A base model, for the methods that need one. Default: the default model.
    group_predictors, prior
        As of `simulate`, for the methods that take them.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        As of `response_distributions`, for the standard errors.
    seed : int
        Deals the folds.
    progress : bool
        A bar over the fits with the time left; False is quiet.

    Returns
    -------
    DataFrame
        A row per method, the best first: `estimate` (error; it can fall below 0), its `std_error` and 95% interval by the survey's design,
        given the fits; `difference` from and `ratio` to the chosen method's error on the same respondents, with their intervals
        (`difference_low`, `difference_high`, `ratio_low`, `ratio_high`; a ratio's on the log scale, missing where an error is not above
        0); and `chosen`. ``attrs["nested"]`` has the honest error of the choice: `estimate`, `std_error`, `conf_low`, `conf_high`,
        `at_full_size` (the extrapolated error), `chosen` (how many folds chose which method). ``attrs["alone"]`` counts answers that no
        respondent of another fold shares a background with: they are not scored. `show` says the choice and its error.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`, or the backgrounds, questions, prior or predictors are unusable, as of `simulate`.
    EvaluationError
        If a method or the metric is unknown, there is one method only, `folds` is below 3 or above the number of PSUs, the model is aligned
        already or no method needs one, a method cannot be fitted without some fold, or no answer can be scored.

    References
    ----------
    Bates, Hastie and Tibshirani (2024), doi:10.1080/01621459.2023.2197686 (nested cross-validation). Varma and Simon (2006),
    doi:10.1186/1471-2105-7-91 (bias of the chosen one's error). Gneiting and Raftery (2007), doi:10.1198/016214506000001437 (scores).

    Examples
    --------
    >>> import surveysim as ss
    >>> train, _ = ss.hold_out_respondents(ss.load_example("nonvoters2020"), n_train=400, seed=0)
    >>> asked = ["Q8_8", "Q8_9", "Q8_7"]
    >>> choice = ss.choose_method(train, ["gender", "age3"], methods=["raw", "pooled", "mrp"], questions=asked, progress=False)
    >>> choice.method.tolist()[0], bool(choice.chosen[0]), sum(choice.attrs["nested"]["chosen"].values())
    ('mrp', True, 5)
    """
    check_survey(survey)
    names = _checked(methods, metric, folds, model)
    grid = requested_backgrounds(backgrounds, survey.codebook)
    traits = [name for name in survey.codebook.traits if name in grid]
    asked, fold = asked_questions(survey, questions), _dealt(survey, folds, seed)
    options = {"questions": [question.question_id for question in asked], "seed": seed, "progress": False}
    work = [(left, name) for size in (1, 2) for left in combinations(range(folds), size) for name in names]
    fits: dict[tuple[Left, str], Array] = {}
    for left, name in reported(work, "choosing", progress=progress):
        own = options | _for_method(name, model, group_predictors, prior)
        fits[left, name] = _fitted(survey.take(~np.isin(fold, left)), grid, traits, name, left, own)
    background = pd.Index(grid[BACKGROUND]).get_indexer(pd.Index(background_of(survey, grid, traits)))
    share = grid[POPULATION_SHARE].to_numpy(float) if POPULATION_SHARE in grid else None
    answers = [_held(survey, question, place, background, fold, metric=metric, share=share) for place, question in enumerate(asked)]
    scored = [each for each in answers if each.weight.sum() > 0]
    if not scored:
        raise EvaluationError("backgrounds: nobody in them shares a background with a respondent of another fold; name fewer traits")
    table = _table(survey, CrossErrors(scored, fits, folds), names, metric, lonely_psu)
    table.attrs |= about_survey(survey, seed) | {"simulated": False, "folds": folds, "alone": sum(each.alone for each in answers)}
    return table


def _checked(methods: str | Sequence[str], metric: str, folds: int, model: OptionModel | None) -> list[str]:
    names = known_names_of(methods, "methods", (*BASELINES, *MODEL_METHODS), error=EvaluationError, lacking="there is no method")
    if len(names) < 2:
        raise EvaluationError(
            f"methods: {names[0]!r} alone leaves nothing to choose; name at least two, or use compare_methods for its error"
        )
    if metric not in CHOOSING_METRICS:
        raise EvaluationError(
            f"metric: {metric!r} cannot be freed of a fold's sampling error; {nearest(str(metric), CHOOSING_METRICS)} "
            f"({', '.join(CHOOSING_METRICS)})"
        )
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or folds < FEWEST_FOLDS:
        raise EvaluationError(
            f"folds must be a whole number, at least {FEWEST_FOLDS}: one to test, one to choose by, one to learn; got {folds!r}"
        )
    if model is not None and model.aligned:
        raise EvaluationError(
            "model is aligned already, perhaps with the respondents of the test; give a base model: model=load_model(...)"
        )
    if model is not None and not set(names) & set(MODEL_METHODS):
        raise EvaluationError(f"model: none of {first_few(names)} uses a language model; leave model= out")
    return names


def _dealt(survey: Survey, folds: int, seed: int) -> np.ndarray:
    try:
        return draw_folds(survey, folds, seed)
    except SurveySimError as too_few:
        raise EvaluationError(str(too_few)) from too_few


def _for_method(name: str, model: OptionModel | None, predictors: pd.DataFrame | None, prior: PriorLike | None) -> dict[str, Any]:
    return {
        "model": model if name in MODEL_METHODS else None,
        "group_predictors": None if name in PREDICTORLESS else predictors,
        "prior": prior if name in TAKE_PRIOR else None,
    }


def _fitted(part: Survey, grid: pd.DataFrame, traits: list[str], name: str, left: Left, options: dict[str, Any]) -> Array:
    """Return a method's shares, shape (questions, backgrounds, options), options as in the codebook."""
    try:
        with unseen_levels_expected():
            table = simulate(part, grid[traits], method=name, **options)
    except SurveySimError as failed:
        without = " and ".join(str(place) for place in left)
        raise EvaluationError(
            f"method {name!r} cannot be fitted without fold {without} ({len(part):,} respondents left): {failed}"
        ) from failed
    cells = to_cells(table, backgrounds=list(grid[BACKGROUND])).on(questions=options["questions"])
    assert all(codes == part.codebook.question(asked).codes for asked, codes in zip(cells.questions, cells.codes, strict=True))
    return cells.shares


def _held(
    survey: Survey,
    question: Question,
    place: int,
    background: np.ndarray,
    fold: np.ndarray,
    *,
    metric: str,
    share: Array | None,
) -> HeldAnswers:
    choice = answer_positions(survey, question, "drop")[1]
    design, sample = question_sample(survey, question, "remove")
    weights = np.zeros(len(survey))
    weights[sample] = design.weights
    transform = _transform(question, metric)
    return held_answers(place, choice, background, fold, weights, transform=transform, share=share)


def _transform(question: Question, metric: str) -> Array:
    size = len(question.codes)
    if metric == DEBIASED:
        return np.eye(size)
    if question.type == "ordinal" or size == 2:
        return np.triu(np.ones((size, size)))[:, : size - 1] / np.sqrt(size - 1)
    return np.eye(size) / np.sqrt(2.0)


def _table(survey: Survey, errors: CrossErrors, names: Sequence[str], metric: str, lonely_psu: str) -> pd.DataFrame:
    found = {name: errors.error([name] * errors.folds, len(survey)) for name in names}
    order = sorted(names, key=lambda name: found[name][0])
    estimate, influence = np.array([found[name][0] for name in order]), np.column_stack([found[name][1] for name in order])
    smallest, its = estimate[0], influence[:, [0]]
    positive = np.where(estimate > 0, estimate, np.nan)
    ratio = positive / positive[0]
    own = _std_errors(survey, influence, lonely_psu)
    low, high = normal_intervals(estimate, own)
    less, most = normal_intervals(estimate - smallest, _std_errors(survey, influence - its, lonely_psu))
    logs = normal_intervals(np.log(ratio), _std_errors(survey, influence / positive - its / positive[0], lonely_psu))
    table = pd.DataFrame({"method": order, METRIC: metric, ESTIMATE: estimate, STD_ERROR: own, CONF_LOW: low, CONF_HIGH: high})
    table = table.assign(**{DIFFERENCE: estimate - smallest, f"{DIFFERENCE}_low": less, f"{DIFFERENCE}_high": most})
    table = table.assign(**{RATIO: ratio, f"{RATIO}_low": np.exp(logs[0]), f"{RATIO}_high": np.exp(logs[1]), "chosen": False})
    table.loc[0, "chosen"] = True
    nested = _nested(survey, errors, names, lonely_psu)
    limits = f"{nested[ESTIMATE]:.4f} ({nested[CONF_LOW]:.4f} to {nested[CONF_HIGH]:.4f})"
    said = f"{limits} by nested cross-validation; {nested['at_full_size']:.4f} extrapolated to all respondents"
    table.attrs |= {"choice": order[0], "error_of_choice": said, "nested": nested}
    return table


def _nested(survey: Survey, errors: CrossErrors, names: Sequence[str], lonely_psu: str) -> dict[str, Any]:
    """Return the error of choosing and fitting, each fold held against methods that were chosen without it."""
    folds = errors.folds
    picked = [min(names, key=lambda name: errors.without(name, fold)) for fold in range(folds)]
    estimate, influence = errors.error(picked, len(survey))
    std_error = _std_errors(survey, influence[:, None], lonely_psu)
    low, high = normal_intervals(np.array([estimate]), std_error)
    none, one, two = (folds / (folds - left) for left in (0, 1, 2))  # one over the share of respondents that a fit learns from
    learnt = float(np.mean([errors.learnt(name) for name in picked]))
    full = estimate - learnt * (one - none) / (two - one)
    found = {ESTIMATE: estimate, STD_ERROR: float(std_error[0]), CONF_LOW: float(low[0]), CONF_HIGH: float(high[0]), "at_full_size": full}
    return found | {"chosen": {name: picked.count(name) for name in dict.fromkeys(picked)}}


def _std_errors(survey: Survey, influence: Array, lonely_psu: str) -> Array:
    """Return the standard errors of sums over respondents of columns, by the survey's design."""
    weights = survey.design.weights[:, None]
    values = np.divide(influence, weights, out=np.zeros_like(influence), where=weights > 0)
    return np.asarray(np.sqrt(weighted_totals(everyone(survey.design.with_lonely_psu(lonely_psu)), values)[1][0]))
