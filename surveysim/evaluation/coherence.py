"""`coherence`: whether simulated respondents' answers hang together as real ones' do, beside a noise floor and independent draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.questions import Question
from surveysim.errors import EvaluationError, first_few, nearest
from surveysim.evaluation.coherence_measures import (
    Answers,
    coefficients,
    independent,
    polychoric,
    reliability,
    score_distance,
    score_shares,
)
from surveysim.survey.domains import asked_questions
from surveysim.survey.survey import Survey, check_survey
from surveysim.synthesis.combining import combine_syntheses
from surveysim.synthesis.respondents import SYNTHESIS
from surveysim.tables.names import names_of
from surveysim.tables.schema import (
    CONF_HIGH,
    CONF_LOW,
    METRIC,
    STD_ERROR,
    WEIGHT,
    refuse_extreme,
    require_columns,
    require_numbers,
    require_scalars,
)

TRUE, SIMULATED, INDEPENDENT = "truth", "simulated", "independent"
ERROR, FLOOR_ERROR, INDEPENDENT_ERROR = "error", "floor_error", "independent_error"
FLOOR_DRAWS = 10
Values = dict[tuple[str, str], float]


def coherence(
    simulated: pd.DataFrame | Survey,
    truth: Survey,
    *,
    questions: str | Sequence[str] | None = None,
    constructs: Mapping[str, str | Sequence[str]] | None = None,
    model: str | None = None,
    floor_n: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare how answers go together in simulated respondents and in real ones.

    Two nulls stand beside every error. The floor: what real respondents would get, as the mean of ten draws. Independent draws: the
    simulated shares of every background, each question drawn by itself. Whoever is not clearly nearer to the truth than these has told
    nothing about how answers go together.

    Parameters
    ----------
    simulated : DataFrame or Survey
        A row per respondent with a column per question and `weight`, as of `simulate_respondents` or any other simulator. Of several
        syntheses (column `synthesis`) every number is the mean of theirs.
    truth : Survey
        Real respondents, none of whom was learnt from.
    questions : str or sequence of str, optional
        Default: those that both have.
    constructs : mapping of name to questions, optional
        Scales, whose score is the sum of their ordered items; ``"-item"`` turns an item round.
    model : str, optional
        A regression, ``"outcome ~ predictor + ..."``: ordered questions enter as places of their options from 0, nominal ones and traits as
        categories. Fitted by weighted least squares.
    floor_n : int, optional
        The floor is that of so many respondents drawn from `truth`, such as were learnt from, against all. Default: of two halves of
        `truth` against each other.
    seed : int

    Returns
    -------
    DataFrame
        A row per number: `metric` (``polychoric``, ``alpha``, ``ave``, ``score_distance``, ``coefficient``), `item` (a pair, a construct
        or a term), its value in `truth`, `simulated` and `independent`; `error`, `floor_error`, `independent_error`, the distance from the
        truth. Of a coefficient with two syntheses or more `std_error`, `conf_low`, `conf_high` by `combine_syntheses` without variances,
        and `covers`: whether the interval holds the truth. `score_distance` is the Jensen-Shannon distance of scores (root of nats).

    Raises
    ------
    SurveySimError
        If `truth` is no survey.
    EvaluationError
        If there are no two questions in common, `simulated` lacks the weight, a construct has fewer than two ordered items, the model
        cannot be fitted, or `floor_n` is out of range.

    References
    ----------
    Cronbach (1951), doi:10.1007/BF02310555. Fornell and Larcker (1981), doi:10.1177/002224378101800104. Lin (1991), doi:10.1109/18.61115.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, rest = ss.hold_out_respondents(survey, n_train=1000, seed=0)
    >>> impact = ["Q4_1", "Q4_2", "Q4_3", "Q4_4"]
    >>> rows = ss.simulate_respondents(train, ["gender", "age3"], questions=impact, n=2000, method="mrp")
    >>> found = ss.coherence(rows, rest, constructs={"impact": impact}, floor_n=1000).set_index("metric")
    >>> bool(found.error["score_distance"] < 0.5 * found.independent_error["score_distance"])
    True
    """
    check_survey(truth)
    rows = _valid(simulated) if isinstance(simulated, Survey) else simulated
    require_columns(rows, [WEIGHT], "simulated")
    if rows.empty:
        raise EvaluationError("simulated has no rows; give respondents of simulate_respondents, or a Survey")
    for name in rows:
        require_scalars(rows[name], f"simulated: column {name!r}", error=EvaluationError)
    refuse_extreme(require_numbers(rows, WEIGHT, "simulated"), f"simulated: {WEIGHT}")
    if SYNTHESIS in rows and np.isnan(require_numbers(rows, SYNTHESIS, "simulated")).any():
        raise EvaluationError(f"simulated: {SYNTHESIS} is missing in some rows; number all, as simulate_respondents does")
    asked = _asked(rows, truth, questions)
    scales = {name: _items(name, items, asked) for name, items in (constructs or {}).items()}
    traits = [name for name in truth.traits if name in rows]
    real = _answers(_valid(truth), asked, traits, "truth")
    parts = rows.groupby(SYNTHESIS, sort=True) if SYNTHESIS in rows else [(1, rows)]
    made = [_answers(part, asked, traits, "simulated") for _, part in parts]
    generator = np.random.default_rng(seed)
    nulls = [independent(one, generator) for one in made]
    true = _measured(real, scales, model)
    values = {TRUE: true, SIMULATED: _mean(made, scales, model), INDEPENDENT: _mean(nulls, scales, model)}
    values[FLOOR_ERROR] = dict.fromkeys(true, 0.0)
    for name in scales:
        key = ("score_distance", name)
        shares = score_shares(real, scales[name])
        values[TRUE][key] = 0.0
        for which, group in ((SIMULATED, made), (INDEPENDENT, nulls)):
            values[which][key] = float(np.mean([score_distance(score_shares(one, scales[name]), shares) for one in group]))
    for first, second in _pairs(real, floor_n, generator):
        one, other = _measured(first, scales, model), _measured(second, scales, model)
        found = {key: abs(one.get(key, np.nan) - other.get(key, np.nan)) for key in one}
        found |= {
            ("score_distance", name): score_distance(score_shares(first, items), score_shares(second, items))
            for name, items in scales.items()
        }
        for key in values[TRUE]:
            values[FLOOR_ERROR][key] = values[FLOOR_ERROR].get(key, 0.0) + found.get(key, np.nan) / FLOOR_DRAWS
    table = _table(values)
    return table if model is None else _with_intervals(table, made, model)


def _valid(survey: Survey) -> pd.DataFrame:
    """Return a survey's respondents; what is no valid answer is an empty cell."""
    answers = survey.data[list(survey.questions)].where(survey.reasons.isna())
    return survey.data.assign(**{name: answers[name] for name in survey.questions})


def _asked(rows: pd.DataFrame, truth: Survey, questions: str | Sequence[str] | None) -> list[Question]:
    named = names_of(truth.questions if questions is None else questions, "questions", truth.questions, error=EvaluationError)
    absent = [] if questions is None else [name for name in named if name not in rows]
    if absent:
        raise EvaluationError(f"questions: simulated has no column {first_few(absent)}; {nearest(absent[0], map(str, rows.columns))}")
    both = [name for name in named if name in rows]
    if len(both) < 2:
        raise EvaluationError(
            f"simulated and truth have {len(both)} questions in common; how answers go together needs two or more: give simulated columns "
            f"of {first_few(named)}"
        )
    return asked_questions(truth, both, error=EvaluationError)


def _items(name: str, items: str | Sequence[str], asked: Sequence[Question]) -> list[tuple[int, bool]]:
    """Return the places of a construct's items, and whether each is turned round."""
    ordered = {question.question_id: place for place, question in enumerate(asked) if question.type == "ordinal"}
    given = names_of(items, f"constructs[{name!r}]", ordered, error=EvaluationError, once=True)
    plain = [item if item in ordered else item.removeprefix("-") for item in given]
    strange = [item for item in plain if item not in ordered]
    if strange:
        raise EvaluationError(f"constructs[{name!r}]: no ordered question {first_few(strange)} in both; {nearest(strange[0], ordered)}")
    if len(set(plain)) < 2:
        raise EvaluationError(f"constructs[{name!r}] has {len(set(plain))} item; a scale needs two or more")
    return [(ordered[item], item != own) for item, own in zip(plain, given, strict=True)]


def _answers(rows: pd.DataFrame, asked: Sequence[Question], traits: Sequence[str], what: str) -> Answers:
    """Return respondents as arrays.

    Raises
    ------
    EvaluationError
        If there are none, a weight is missing or below 0, or an answer is no option.
    """
    weights = rows[WEIGHT].to_numpy(float)
    if not len(rows) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise EvaluationError(f"{what}: {len(rows)} rows whose weights must be numbers of 0 or more, not all 0; leave other rows out")
    places = []
    for question in asked:
        own = rows[question.question_id]
        place = pd.Index(list(question.codes)).get_indexer(pd.Index(own))
        strange = own[(place < 0) & own.notna().to_numpy()]
        if len(strange):
            raise EvaluationError(
                f"{what}: question {question.question_id!r} has no option {first_few(strange.unique())} ({len(strange)} rows); codes are "
                f"{first_few(question.codes, 12)}, and an answer that is missing is an empty cell"
            )
        places.append(place)
    levels = rows[list(traits)].astype(object).reset_index(drop=True)
    cell = levels.groupby(list(traits), dropna=False, sort=False).ngroup().to_numpy() if traits else np.zeros(len(rows), dtype=np.int64)
    return Answers(np.stack(places, axis=1), weights, cell, tuple(asked), levels)


def _measured(answers: Answers, scales: Mapping[str, list[tuple[int, bool]]], model: str | None) -> Values:
    """Return every number of one set of respondents, by metric and item."""
    ordered = np.array([place for place, question in enumerate(answers.questions) if question.type == "ordinal"], dtype=np.int64)
    found: Values = {}
    if len(ordered) > 1:
        rho = polychoric(answers, ordered)
        names = [answers.questions[place].question_id for place in ordered]
        found |= {
            ("polychoric", f"{names[i]} ~ {names[j]}"): float(rho[i, j]) for i, j in zip(*np.triu_indices(len(names), 1), strict=True)
        }
    for name, items in scales.items():
        found[("alpha", name)], found[("ave", name)] = reliability(answers, items)
    if model is not None:
        found |= {("coefficient", str(term)): float(value) for term, value in coefficients(answers, model)[0].items()}
    return found


def _mean(group: Sequence[Answers], scales: Mapping[str, list[tuple[int, bool]]], model: str | None) -> Values:
    measured = [_measured(one, scales, model) for one in group]
    return {key: float(np.mean([one.get(key, np.nan) for one in measured])) for key in measured[0]}


def _pairs(real: Answers, floor_n: int | None, generator: np.random.Generator) -> list[tuple[Answers, Answers]]:
    """Return pairs of sets of real respondents: two halves, or `floor_n` of them and all.

    Raises
    ------
    EvaluationError
        If `floor_n` is below 2, or above the number of respondents.
    """
    size = len(real.weights)
    if floor_n is not None and not 2 <= floor_n <= size:
        raise EvaluationError(f"floor_n must lie between 2 and the {size:,} respondents of truth; got {floor_n}")
    pairs = []
    for _ in range(FLOOR_DRAWS):
        order = generator.permutation(size)
        second = real if floor_n is not None else real.take(order[size // 2 :])
        pairs.append((real.take(order[: size // 2 if floor_n is None else floor_n]), second))
    return pairs


def _table(values: Mapping[str, Values]) -> pd.DataFrame:
    keys = list(values[TRUE])
    table = pd.DataFrame(keys, columns=[METRIC, "item"])
    for name in (TRUE, SIMULATED, INDEPENDENT):
        table[name] = [values[name].get(key, np.nan) for key in keys]
    table[ERROR] = (table[SIMULATED] - table[TRUE]).abs()
    table[FLOOR_ERROR] = [values[FLOOR_ERROR][key] for key in keys]
    table[INDEPENDENT_ERROR] = (table[INDEPENDENT] - table[TRUE]).abs()
    return table


def _with_intervals(table: pd.DataFrame, made: Sequence[Answers], model: str) -> pd.DataFrame:
    """Return the table with intervals of the coefficients, of the variance between syntheses alone; missing of a single one.

    Rows hold their shares, so that a coefficient varies within a synthesis by less than its own variance says: taking that off would be
    too much, and nearly all where shares make the coefficient.
    """
    added = table.assign(
        **dict.fromkeys((STD_ERROR, CONF_LOW, CONF_HIGH), np.nan), covers=pd.Series(pd.NA, index=table.index, dtype="boolean")
    )
    if len(made) < 2:
        return added
    fitted = [coefficients(one, model) for one in made]
    terms = [term for term in fitted[0][0].index if all(term in one.index for one, _ in fitted)]
    both = combine_syntheses([one[terms] for one, _ in fitted])
    for place in added.index[(added[METRIC] == "coefficient") & added["item"].isin(terms)]:
        own = both.loc[added.loc[place, "item"]]
        for name in (STD_ERROR, CONF_LOW, CONF_HIGH):
            added.loc[place, name] = own[name]
        added.loc[place, "covers"] = bool(own[CONF_LOW] <= added.loc[place, TRUE] <= own[CONF_HIGH])
    return added
