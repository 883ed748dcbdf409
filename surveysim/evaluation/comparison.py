"""`compare_methods`: every method on the same training respondents, against the same respondents left out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from surveysim.baselines.fitting import TAKE_PRIOR
from surveysim.baselines.knowledge import FEWEST_LEVELS, Knowledge, knowledge_of
from surveysim.baselines.methods import BASELINES, BLIND
from surveysim.baselines.predictors import PREDICTORLESS
from surveysim.baselines.prior import PriorLike, prior_of
from surveysim.errors import EvaluationError, first_few, nearest
from surveysim.evaluation.floor import noise_floor
from surveysim.evaluation.metrics import METRICS, require_metrics
from surveysim.evaluation.scores import KNOWN_METRICS, evaluate
from surveysim.evaluation.summaries import diagnose, question_means
from surveysim.evaluation.trials import SPLITS, Trial, draw_trial, require_questions, truth_cells, unasked_table
from surveysim.progress import announce, reported
from surveysim.simulation.in_memory import simulate
from surveysim.simulation.request import MODEL_METHODS
from surveysim.simulation.unseen import unseen_levels_expected
from surveysim.survey.domains import traits_of_survey
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, CELL, ESTIMATE, METRIC, POOLED, POPULATION_SHARE, QUESTION, N
from surveysim.whole_files import write_whole

if TYPE_CHECKING:
    from surveysim.lm.option_model import OptionModel

FLOOR = "floor"  # the population's own shares against the respondents left out
FRESH_SAMPLE = "fresh sample"  # a human sample as large as the respondents left out
FLOORS = {FLOOR: float("inf"), FRESH_SAMPLE: None}
DIAGNOSES = ("variance_ratio", "worst_decile", "rank_agreement")
UNASKED_METHODS = ("uniform", "length-matched", "zero-shot", "stage1", "dsa", "dsa-kernel")
SCORES = ["split", N, "seed", "method", QUESTION, BACKGROUND, METRIC, ESTIMATE, "n_backgrounds", "seconds"]


def compare_methods(
    survey: Survey,
    *,
    by: str | Sequence[str],
    train_n: Sequence[int] | int,
    methods: str | Sequence[str] = ("raw", "pooled", "shrunken", "ridge", "mrp", "mean_tilt", "low_rank", "stage1", "dsa"),
    seeds: Sequence[int] | int = 5,
    split: str = "respondents",
    held: float | Mapping[str, Any] | None = None,
    questions: str | Sequence[str] | None = None,
    model: OptionModel | None = None,
    metrics: str | Sequence[str] = ("wasserstein", "total_variation"),
    equal_by: str | None = None,
    min_truth: int = 1,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    results: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Score methods on identical training respondents, sizes and seeds, beside the noise floor.

    Parameters
    ----------
    survey : Survey
        Its respondents are training sample and truth in turn; no respondent is both in one trial.
    by : str or sequence of str
        Traits that make the backgrounds. Cells count by the background's population share.
    train_n : int or sequence of int
        Training respondents.
    methods : str or sequence of str
        What `simulate` takes: names of `BASELINES`, ``"zero-shot"``, ``"stage1"``, ``"dsa"``, ``"dsa-kernel"``. For held-out
        questions: ``"uniform"``, ``"length-matched"`` (blind to background and wording), ``"zero-shot"``, ``"stage1"``, ``"dsa"`` (the
        aligned model as it is), ``"dsa-kernel"`` (a Gaussian process over questions).
    seeds : int or sequence of int
        Draws of the training respondents; a number stands for 0, 1, ...
    split : {"respondents", "backgrounds", "levels", "questions", "both"}
        What is kept from training beside the respondents left out, and then alone scored.
    held : float or mapping, optional
        Fraction of backgrounds or questions (by topic) held out, default 0.2; for levels ``{"country": 6}`` or ``{"country": ["Norway"]}``.
    questions : str or sequence of str, optional
        Default all.
    model : OptionModel, optional
        A base model. Default: the default model, loaded if a method needs it.
    metrics : str or sequence of str
        Names of `METRICS`, ``"debiased_squared_error"``, and of `diagnose`: ``"variance_ratio"``, ``"worst_decile"``, ``"rank_agreement"``.
    equal_by : str, optional
        A trait: as many training respondents from each of its levels.
    min_truth : int
        Cells with fewer respondents left out are not scored.
    group_predictors : DataFrame, optional
        As of `simulate`, for every method that uses them.
    prior : DataFrame, Survey, or several of them, optional
        As of `simulate`, for every method that takes one: the others have none. Not for questions held out.
    results : str or Path, optional
        Folder for one file per size, seed and method; what is there already is read and not computed again.
    progress : bool
        A bar with the time left, and a line on standard error for each method fitted; False is quiet.

    Returns
    -------
    DataFrame
        A row per `n`, `seed`, `method`, `question_id` and `metric`: `estimate` (mean over backgrounds, weighted by population
        share), `n_backgrounds`, `seconds` (where ``"stage1"`` and ``"dsa"`` are both compared, the later one goes on from the
        other's first stage: its seconds are without it). Methods ``"floor"`` (the population's own shares) and ``"fresh sample"`` (a
        human sample as large as the respondents left out) are the noise floor. `summarise_comparison`, `paired_differences`
        and `savings` read it.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    EvaluationError
        If a method, split or metric is unknown, a method cannot do the split, there is no size or seed, or `results` holds another
        comparison.
    SplitError
        If a size cannot be drawn, or `held` does not fit the split.
    EstimationError
        If a draw has too few answers to a question for a classical method, or `group_predictors` is unusable, as of `simulate`.

    References
    ----------
    Efron (1983), doi:10.2307/2288636, for the repeated division of respondents.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> scores = ss.compare_methods(
    ...     survey, by=["gender", "age3"], train_n=[200, 400], methods=["raw", "mrp"], seeds=2, questions=["Q8_8", "Q8_9"], progress=False
    ... )
    >>> sorted(scores.method.unique())
    ['floor', 'fresh sample', 'mrp', 'raw']
    """
    check_survey(survey)
    traits = tuple(traits_of_survey(survey, by))
    scored_by = require_metrics(metrics, (*KNOWN_METRICS, *DIAGNOSES))
    plan = _Plan(survey, traits, split, held, require_questions(survey, questions), scored_by, equal_by, min_truth, group_predictors, prior)
    sizes, draws, names = _checked(train_n, seeds, methods, split)
    folder = None if results is None else _open_results(Path(results), plan.facts(model, names))
    work = list(product(sizes, draws))
    parts = []
    with reported(label="comparing", total=len(work) * (len(FLOORS) + len(names)), progress=progress) as bar, _shared_first_stages(names):
        for n, seed in work:
            for part in _trial_scores(plan, n, seed, names, model=model, folder=folder, progress=progress):
                parts.append(part)
                bar.update()
    scores = pd.concat(parts, ignore_index=True)
    scores.attrs.update(plan.facts(model, names), seeds=draws, train_n=sizes)
    return scores


def _shared_first_stages(methods: Sequence[str]) -> AbstractContextManager[None]:
    if not {"stage1", "dsa"} <= set(methods):
        return nullcontext()
    from surveysim.lm.ended_stages import first_stages_kept

    return first_stages_kept()


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all trials of a comparison share."""

    survey: Survey
    by: tuple[str, ...]
    split: str
    held: float | Mapping[str, Any] | None
    questions: tuple[str, ...]
    metrics: tuple[str, ...]
    equal_by: str | None
    min_truth: int
    group_predictors: pd.DataFrame | None
    prior: PriorLike | None = None

    def known(self) -> Knowledge:
        return knowledge_of(self.survey.codebook, self.by, self.group_predictors)

    def predictors(self, method: str) -> pd.DataFrame | None:
        """Return the predictors of groups, for a method that uses them."""
        return None if method in (*PREDICTORLESS, *BLIND) else self.group_predictors

    def facts(self, model: OptionModel | None, methods: Sequence[str]) -> dict[str, Any]:
        """Return what a folder of results must have been made with."""
        from surveysim.lm.base.model_files import DEFAULT_MODEL

        named = DEFAULT_MODEL if model is None else model.backbone.name
        known = self.known()
        ordered = [trait for trait in self.by if len(known.levels.get(trait, ())) >= FEWEST_LEVELS]
        return {
            "survey": self.survey.codebook.name,
            "respondents": len(self.survey),
            "weight": self.survey.weight_name,
            "by": list(self.by),
            "split": self.split,
            "held": dict(self.held) if isinstance(self.held, Mapping) else self.held,
            "questions": list(self.questions),
            "metrics": list(self.metrics),
            "equal_by": self.equal_by,
            "min_truth": self.min_truth,
            "model": named,
            "ordered_traits": ordered or None,
            "group_predictors": None if known.predictors is None else known.predictors.digest,
            "prior": None if self.prior is None else prior_of(self.prior, self.by, self.questions).digest,
        }

    def trial(self, n: int, seed: int) -> Trial:
        return draw_trial(
            self.survey,
            by=self.by,
            n=n,
            seed=seed,
            split=self.split,
            held=self.held,
            questions=self.questions,
            equal_by=self.equal_by,
            min_truth=self.min_truth,
        )


def _checked(
    train_n: Sequence[int] | int, seeds: Sequence[int] | int, methods: Sequence[str], split: str
) -> tuple[list[int], list[int], list[str]]:
    if split not in SPLITS:
        raise EvaluationError(f"split {split!r} is unknown; {nearest(str(split), SPLITS)}")
    sizes = [train_n] if isinstance(train_n, int) else list(train_n)
    draws = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    names = names_of(methods, "methods", (*BASELINES, *MODEL_METHODS), error=EvaluationError)
    for what, given in (("train_n", sizes), ("seeds", draws)):
        if not given:
            raise EvaluationError(f"{what} is empty; give at least one")
    for name in names:
        _check_method(name, unasked=split in ("questions", "both"))
    return sizes, draws, names


def _check_method(name: str, *, unasked: bool) -> None:
    everywhere = (*BASELINES, *MODEL_METHODS)
    known = UNASKED_METHODS if unasked else everywhere
    if name in known:
        return
    if name in everywhere:
        raise EvaluationError(f"methods: {name!r} cannot answer questions it was not trained on; {first_few(known)} can")
    raise EvaluationError(f"methods: {name!r} is unknown; {nearest(str(name), known)}")


def _open_results(folder: Path, facts: dict[str, Any]) -> Path:
    """Make the folder, or check that it holds results of the same comparison."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "comparison.json"
    wanted = json.loads(json.dumps(facts))
    if note.is_file():
        found = json.loads(note.read_text(encoding="utf-8"))
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            shown = "; ".join(f"{name} {found.get(name)!r}, now {wanted[name]!r}" for name in other)
            raise EvaluationError(f"results={str(folder)!r} holds another comparison ({shown}); give another folder")
    else:
        write_whole(note, lambda path: path.write_text(json.dumps(wanted, indent=1), encoding="utf-8"))
    return folder


def _trial_scores(
    plan: _Plan, n: int, seed: int, names: Sequence[str], *, model: OptionModel | None, folder: Path | None, progress: bool
) -> Iterator[pd.DataFrame]:
    """Yield every method's scores in one trial, which is drawn only if one of them is not in the folder."""
    trial: Trial | None = None
    for name in (*FLOORS, *names):
        path = None if folder is None else folder / f"n{n}-seed{seed}-{name.replace(' ', '-')}.parquet"
        if path is not None and path.is_file():
            yield pd.read_parquet(path)
            continue
        trial = trial or plan.trial(n, seed)
        start = time.perf_counter()
        cells = _floor_cells(trial, plan, name, seed) if name in FLOORS else _method_cells(trial, plan, name, model, seed)
        about = {"split": plan.split, N: n, "seed": seed, "method": name, "seconds": time.perf_counter() - start}
        scores = cells.assign(**about)[SCORES]
        if path is not None:
            write_whole(path, scores.to_parquet)
        if progress:
            _say(plan, scores)
        yield scores


def _say(plan: _Plan, scores: pd.DataFrame) -> None:
    row = scores.iloc[0]
    mean, where = scores.loc[scores[METRIC] == row[METRIC], ESTIMATE].mean(), f"{plan.survey.codebook.name}, {plan.split}"
    said = f"{where}, n = {row[N]:,}, seed {row['seed']}, {row['method']}: {row[METRIC]} {mean:.4f}, {row['seconds']:.0f} s"
    announce(said)


def _floor_cells(trial: Trial, plan: _Plan, name: str, seed: int) -> pd.DataFrame:
    metrics = [metric for metric in plan.metrics if metric in METRICS]
    if not metrics:
        return pd.DataFrame(columns=[QUESTION, BACKGROUND, METRIC, ESTIMATE, "n_backgrounds"])
    floor = noise_floor(
        trial.truth,
        n=FLOORS[name],
        metrics=metrics,
        codebook=plan.survey.codebook,
        weights=_weights(trial),
        seed=seed,
    )
    return question_means(floor).assign(**{BACKGROUND: POOLED})


def _method_cells(trial: Trial, plan: _Plan, method: str, model: OptionModel | None, seed: int) -> pd.DataFrame:
    if plan.split in ("questions", "both"):
        told = plan.predictors(method)
        table = unasked_table(trial, method, model, plan.survey.codebook, by=plan.by, group_predictors=told, known=plan.known(), seed=seed)
    else:
        with unseen_levels_expected():
            table = simulate(
                trial.train,
                trial.backgrounds[[*plan.by, POPULATION_SHARE]],
                model=model if method in MODEL_METHODS else None,
                questions=trial.asked,
                method=method,
                group_predictors=plan.predictors(method),
                prior=plan.prior if method in TAKE_PRIOR else None,
                seed=seed,
                progress=False,
            )
    table = table[pd.MultiIndex.from_frame(table[CELL]).isin(truth_cells(trial))]
    book = plan.survey.codebook
    parts = []
    metrics = [metric for metric in plan.metrics if metric in KNOWN_METRICS]
    if metrics:
        parts.append(question_means(evaluate(table, trial.truth, metrics=metrics, codebook=book, weights=_weights(trial))))
    wanted = [metric for metric in plan.metrics if metric in DIAGNOSES]
    if wanted:
        found = diagnose(table, trial.truth, codebook=book)
        parts.append(found.melt([QUESTION, "n_backgrounds"], wanted, var_name=METRIC, value_name=ESTIMATE).dropna(subset=ESTIMATE))
    return pd.concat(parts, ignore_index=True).assign(**{BACKGROUND: POOLED})


def _weights(trial: Trial) -> pd.DataFrame:
    return trial.backgrounds[[BACKGROUND, POPULATION_SHARE]]
