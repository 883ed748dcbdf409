"""Odd frames through every public verb that takes a table: only the package's own errors come out."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.odd_frames import FRAMES, odd_frames
from tests.support.opinion_survey import opinion_codebook, opinion_frame, opinion_survey

pytestmark = pytest.mark.usefixtures("module_cache")

BOOK = opinion_codebook()
SURVEY = opinion_survey(200)
QUESTIONS = ["taxes", "vote"]
TABLE = ss.response_distributions(SURVEY, by=["age", "gender"], questions=QUESTIONS)
TRAIN, REST = ss.hold_out_respondents(SURVEY, n_train=100, seed=0)
RAW, TRUTH = (ss.response_distributions(part, by=["gender"], questions=QUESTIONS) for part in (TRAIN, REST))
GRID = ss.background_grid(BOOK, by=["gender"])
SIX = ["age", "gender"]
SIMULATED = ss.simulate(TRAIN, GRID, questions=QUESTIONS, method="mrp")
DIRECT, MODELLED = ss.response_distributions(REST, by=SIX, questions=QUESTIONS), ss.simulate(TRAIN, SIX, questions=QUESTIONS, method="mrp")
SCORES = ss.evaluate(RAW, TRUTH, codebook=BOOK)
SUMMARY = pd.concat([ss.summarise_scores(SCORES).assign(source=name) for name in ("raw", "ridge")], ignore_index=True)
MEANS = ss.survey_mean(SURVEY, questions="taxes", by="gender")
PEOPLE = ss.observed_backgrounds(SURVEY, by=["gender"])
CENSUS = pd.DataFrame(
    {"age": ["young", "young", "old", "old", "middle", "middle"], "gender": ["female", "male"] * 3, "count": [90, 80, 70, 60, 50, 40]}
)
MARGINS = ss.population_margins(CENSUS, by=["gender", "age"])
PREDICTORS = pd.DataFrame({"age": ["young", "middle", "old"], "income": [1.0, 3.0, 2.0]})
OFFICIAL = pd.DataFrame(
    {
        "question_id": ["taxes", "vote"],
        "option_codes": ["1", "1"],
        "label": ["lower taxes", "voted"],
        "background_id": "all",
        "share": [0.3, 0.6],
        "std_error": [0.01, 0.01],
        "rounding": [0.001, 0.001],
        "universe": "adults",
        "denominator": "valid answers",
        "weight": "any",
        "country": "Nowhere",
        "year": "2020",
        "source": "census",
        "note": "",
    }
)
POOLED = ss.response_distributions(SURVEY, questions=QUESTIONS)
COMPARISON = pd.DataFrame(
    {"label": "voted", "source": ["official", "survey"], "share": [0.6, 0.7], "conf_low": [0.5, 0.6], "conf_high": [0.7, 0.8]}
)
TRIALS = pd.DataFrame(
    [
        {"n": n, "method": method, "seed": seed, "question_id": question, "metric": "wasserstein", "estimate": error + seed / 100 - n / 1e5}
        for n in (200, 800)
        for method, error in (("raw", 0.12), ("mrp", 0.06))
        for seed in (1, 2)
        for question in ("taxes", "vote")
    ]
)
CURVE = pd.DataFrame({"n": [100, 400, 1600], "estimate": [0.12, 0.06, 0.03], "source": "raw", "metric": "wasserstein"})
SAVED = pd.concat([CURVE, CURVE.assign(source="dsa", estimate=CURVE["estimate"] / 2)], ignore_index=True)
CROSSWALK = pd.DataFrame({"wave": ["a", "b"], "variable": ["taxes", "taxes"], "pooled": ["taxes", "taxes"]})
REPLICATES = pd.DataFrame(np.random.default_rng(0).gamma(2, 1, (len(SURVEY), 4)), columns=list("abcd"))
RESPONDENTS = opinion_frame(40)[["age", "gender", "w", "taxes", "vote"]]
OUTSIDE = TABLE[["background_id", "question_id", "option_code", "share"]]
HALVES = ss.cross_fit(
    SURVEY, lambda part: ss.simulate(part, SIX, questions=QUESTIONS, method="ridge"), by=SIX, questions=QUESTIONS, progress=False
)
TILES = pd.DataFrame({"level": ["female", "male"], "row": [0, 0], "column": [0, 1]})
INDEPENDENT: dict[str, Any] = {"independent": True}

Call = Callable[[Any, Path], Any]


def _tilted(survey: ss.Survey, prior: Any = None) -> pd.DataFrame:
    return ss.simulate(survey, ["gender"], questions=QUESTIONS, method="mean_tilt", prior=prior)


# (verb, argument) -> a good frame, and the call with another in its place
TOTALS = ss.response_distributions(SURVEY, questions=QUESTIONS)
ROWS = ss.simulate_respondents(SURVEY, PEOPLE, questions=["taxes", "trust"], n=60, method="shrunken")
REPLICATED = ss.response_distributions(ss.as_replicates(SURVEY, method="bootstrap", n_replicates=30), questions=QUESTIONS, covariance=True)
ELSEWHERE = {  # the same frame, checked by the same call as in a verb that is tried
    *(("choose_method", "group_predictors"), ("choose_method", "prior"), ("plan_sample", "group_predictors"), ("plan_sample", "prior")),
    *(("simulate_respondents", "group_predictors"), ("simulate_respondents", "prior"), ("resampled_errors", "prior")),
    *(("scorecard", "against"), ("scorecard", "weights"), ("plot_change", "backgrounds")),
}
CALLS: dict[tuple[str, str], tuple[pd.DataFrame, Call]] = {
    ("abstain", "simulated"): (SIMULATED, lambda x, p: ss.abstain(x, TRAIN)),
    ("abstain", "sample"): (RAW, lambda x, p: ss.abstain(SIMULATED, x)),
    ("as_distributions", "frame"): (OUTSIDE, lambda x, p: ss.as_distributions(x, BOOK, shares="share")),
    ("as_survey", "frame"): (RESPONDENTS, lambda x, p: ss.as_survey(x, BOOK, questions=QUESTIONS)),
    ("background_shifts", "distributions"): (RAW, lambda x, p: ss.background_shifts(x)),
    ("calibrate", "margins"): (MARGINS, lambda x, p: ss.calibrate(SURVEY, x)),
    ("cite", "subjects"): (CENSUS, lambda x, p: str(ss.cite(x))),
    ("compare_methods", "group_predictors"): (
        PREDICTORS,
        lambda x, p: ss.compare_methods(
            SURVEY, by="age", methods=["ridge"], questions="vote", train_n=100, seeds=1, group_predictors=x, progress=False
        ),
    ),
    ("compare_methods", "prior"): (
        TRUTH,  # the trial draws TRAIN's respondents: its own shares are refused
        lambda x, p: ss.compare_methods(
            SURVEY, by="gender", methods=["mrp"], questions="vote", train_n=100, seeds=1, prior=x, progress=False
        ),
    ),
    ("compare_with_official", "estimates"): (POOLED, lambda x, p: ss.compare_with_official(x, OFFICIAL, codebook=BOOK)),
    ("compare_with_official", "official"): (OFFICIAL, lambda x, p: ss.compare_with_official(POOLED, x, codebook=BOOK)),
    ("composite", "direct"): (DIRECT, lambda x, p: ss.composite(x, MODELLED, independent=True)),
    ("composite", "simulated"): (MODELLED, lambda x, p: ss.composite(DIRECT, x, independent=True)),
    ("conformal_intervals", "simulated"): (MODELLED, lambda x, p: ss.conformal_intervals(HALVES, x, level=0.5)),
    ("data_saved", "curve"): (CURVE, lambda x, p: ss.data_saved(x, CURVE)),
    ("data_saved", "scores"): (CURVE, lambda x, p: ss.data_saved(CURVE, x)),
    ("diagnose", "estimated"): (RAW, lambda x, p: ss.diagnose(x, TRUTH, codebook=BOOK)),
    ("diagnose", "reference"): (TRUTH, lambda x, p: ss.diagnose(RAW, x, codebook=BOOK)),
    ("estimate_baseline", "training"): (RAW, lambda x, p: ss.estimate_baseline(x, GRID, method="ridge", codebook=BOOK)),
    ("estimate_baseline", "backgrounds"): (GRID, lambda x, p: ss.estimate_baseline(RAW, x, method="ridge", codebook=BOOK)),
    ("estimate_baseline", "group_predictors"): (
        PREDICTORS,
        lambda x, p: ss.estimate_baseline(TABLE, PAIRS, method="ridge", codebook=BOOK, group_predictors=x),
    ),
    ("estimate_baseline", "prior"): (TRUTH, lambda x, p: ss.estimate_baseline(RAW, GRID, method="mean_tilt", codebook=BOOK, prior=x)),
    ("evaluate", "estimated"): (RAW, lambda x, p: ss.evaluate(x, TRUTH, codebook=BOOK)),
    ("evaluate", "reference"): (TRUTH, lambda x, p: ss.evaluate(RAW, x, codebook=BOOK)),
    ("evaluate", "weights"): (PEOPLE, lambda x, p: ss.evaluate(RAW, TRUTH, codebook=BOOK, weights=x)),
    ("export_popfidelity", "distributions"): (RAW, lambda x, p: ss.export_popfidelity(x, p / "x.csv")),
    ("export_poststratification", "population"): (CENSUS, lambda x, p: ss.export_poststratification(x, p / "x.csv", by=["gender"])),
    ("export_poststratification", "responses"): (
        RAW[RAW["question_id"] == "vote"],
        lambda x, p: ss.export_poststratification(PEOPLE[["gender", "population_share"]], p / "x.csv", responses=x),
    ),
    ("export_poststratification", "structure"): (
        CENSUS,
        lambda x, p: ss.export_poststratification(MARGINS, p / "x.csv", by=["age", "gender"], structure=x),
    ),
    ("export_table", "table"): (RAW, lambda x, p: ss.export_table(x, p / "x.csv")),
    ("export_table", "published"): (RAW, lambda x, p: ss.export_table(POOLED, p / "x.csv", published=x)),
    ("harmonise", "table"): (TABLE, lambda x, p: ss.harmonise(x, BOOK)),
    ("harmonise", "crosswalk"): (CROSSWALK[:1], lambda x, p: ss.harmonise(TABLE, BOOK, crosswalk=x, wave="a")),
    ("hold_out_backgrounds", "frame"): (TABLE, lambda x, p: ss.hold_out_backgrounds(x, fraction=0.3, seed=0)),
    ("hold_out_levels", "frame"): (TABLE, lambda x, p: ss.hold_out_levels(x, trait="age", levels="old")),
    ("joint_population", "margins"): (MARGINS, lambda x, p: ss.joint_population(x, CENSUS)),
    ("joint_population", "structure"): (CENSUS, lambda x, p: ss.joint_population(MARGINS, x)),
    ("noise_floor", "reference"): (TRUTH, lambda x, p: ss.noise_floor(x, n=100, codebook=BOOK, draws=3)),
    ("noise_floor", "n"): (RAW, lambda x, p: ss.noise_floor(TRUTH, n=x, codebook=BOOK, draws=3)),
    ("noise_floor", "weights"): (PEOPLE, lambda x, p: ss.noise_floor(TRUTH, n=100, weights=x, codebook=BOOK, draws=3)),
    ("paired_differences", "scores"): (TRIALS, lambda x, p: ss.paired_differences(x, reference="raw")),
    ("plot_data_saved", "curve"): (SAVED, lambda x, p: ss.plot_data_saved(x, method="dsa", reference="raw")),
    ("plot_data_saved", "floor"): (
        SUMMARY[:2],
        lambda x, p: ss.plot_data_saved(SAVED, method="dsa", reference="raw", floor=x),
    ),
    ("plot_distributions", "distributions"): (RAW, lambda x, p: ss.plot_distributions(x, question="taxes")),
    ("plot_distributions", "backgrounds"): (GRID, lambda x, p: ss.plot_distributions(RAW, question="taxes", backgrounds=x)),
    ("plot_official", "comparison"): (COMPARISON, lambda x, p: ss.plot_official(x)),
    ("plot_scores", "scores"): (SUMMARY, lambda x, p: ss.plot_scores(x)),
    ("plot_scores", "floor"): (SUMMARY[:2], lambda x, p: ss.plot_scores(SUMMARY, floor=x)),
    ("plot_shifts", "distributions"): (TABLE, lambda x, p: ss.plot_shifts(x, question="taxes", trait="age")),
    ("plot_shifts", "population"): (
        ss.observed_backgrounds(SURVEY, by=["age", "gender"]),
        lambda x, p: ss.plot_shifts(TABLE, question="taxes", trait="age", population=x),
    ),
    ("pool_waves", "crosswalk"): (CROSSWALK, lambda x, p: ss.pool_waves({"a": TRAIN, "b": REST}, crosswalk=x)),
    ("population_fidelity", "estimated"): (RAW, lambda x, p: ss.population_fidelity(x, TRUTH, codebook=BOOK)),
    ("population_fidelity", "reference"): (TRUTH, lambda x, p: ss.population_fidelity(RAW, x, codebook=BOOK)),
    ("population_margins", "population"): (CENSUS, lambda x, p: ss.population_margins(x, by=["gender", ("age", "gender")])),
    ("poststratify", "distributions"): (TABLE, lambda x, p: ss.poststratify(x, CENSUS, by="gender")),
    ("poststratify", "population"): (CENSUS, lambda x, p: ss.poststratify(TABLE, x, by="gender")),
    ("poststratify", "structure"): (CENSUS, lambda x, p: ss.poststratify(TABLE, MARGINS, structure=x)),
    ("poststratify_weights", "population"): (CENSUS, lambda x, p: ss.poststratify_weights(SURVEY, x)),
    ("prediction_powered", "simulated"): (
        RAW,
        lambda x, p: ss.prediction_powered(REST, x, population=PEOPLE, questions="taxes", **INDEPENDENT),
    ),
    ("prediction_powered", "population"): (
        PEOPLE,
        lambda x, p: ss.prediction_powered(REST, RAW, population=x, questions="taxes", **INDEPENDENT),
    ),
    ("prediction_powered", "structure"): (
        CENSUS,
        lambda x, p: ss.prediction_powered(REST, TABLE, population=MARGINS, structure=x, questions="taxes", **INDEPENDENT),
    ),
    ("protect", "table"): (RAW, lambda x, p: ss.protect(x)),
    ("protect", "published"): (RAW, lambda x, p: ss.protect(POOLED, published=x)),
    ("rake", "margins"): (MARGINS, lambda x, p: ss.rake(SURVEY, x)),
    ("report", "result"): (SIMULATED, lambda x, p: ss.report(x, p / "x.html")),
    ("report", "scores"): (SCORES, lambda x, p: ss.report(SIMULATED, p / "x.html", scores=x)),
    ("report", "floor"): (SCORES, lambda x, p: ss.report(SIMULATED, p / "x.html", scores=SCORES, floor=x)),
    ("resampled_errors", "prior"): (TRUTH, lambda x, p: ss.resampled_errors(TRAIN, _tilted, prior=x, n_replicates=20, progress=False)),
    ("restore_spread", "simulated"): (SIMULATED, lambda x, p: ss.restore_spread(x)),
    ("restore_spread", "population"): (PEOPLE, lambda x, p: ss.restore_spread(SIMULATED, population=x)),
    ("savings", "scores"): (TRIALS, lambda x, p: ss.savings(x, reference="raw")),
    ("show", "table"): (RAW, lambda x, p: [repr(view := ss.show(x)), view._repr_html_()]),
    ("simulate", "df"): (RESPONDENTS, lambda x, p: ss.simulate(x, ["gender"], codebook=BOOK, questions=QUESTIONS, method="ridge")),
    ("simulate", "backgrounds"): (
        GRID.drop(columns="background_id"),
        lambda x, p: ss.simulate(TRAIN, x, questions=QUESTIONS, method="ridge"),
    ),
    ("simulate", "group_predictors"): (
        PREDICTORS,
        lambda x, p: ss.simulate(TRAIN, ["age"], questions=QUESTIONS, method="ridge", group_predictors=x),
    ),
    ("simulate", "prior"): (TRUTH, lambda x, p: ss.simulate(TRAIN, ["gender"], questions=QUESTIONS, method="mean_tilt", prior=x)),
    ("split_background", "table"): (TABLE, lambda x, p: ss.split_background(x)),
    ("stack", "tables"): (RAW, lambda x, p: ss.stack([TRUTH, x])),
    ("summarise_comparison", "scores"): (TRIALS, lambda x, p: ss.summarise_comparison(x)),
    ("summarise_scores", "scores"): (SCORES, lambda x, p: ss.summarise_scores(x)),
    ("audit_disclosure", "tables"): (RAW, lambda x, p: ss.audit_disclosure([x])),
    ("benchmark_to", "table"): (RAW, lambda x, p: ss.benchmark_to(x, TOTALS, population=PEOPLE)),
    ("benchmark_to", "totals"): (TOTALS, lambda x, p: ss.benchmark_to(RAW, x, population=PEOPLE)),
    ("benchmark_to", "population"): (PEOPLE, lambda x, p: ss.benchmark_to(RAW, TOTALS, population=x)),
    ("choose_method", "backgrounds"): (GRID, lambda x, p: ss.choose_method(TRAIN, x, methods=["shrunken", "pooled"], folds=3)),
    ("coherence", "simulated"): (ROWS, lambda x, p: ss.coherence(x, SURVEY, questions=["taxes", "trust"])),
    ("export_popfidelity", "published"): (TRUTH, lambda x, p: ss.export_popfidelity(RAW, p / "x.csv", codebook=BOOK, published=x)),
    ("plan_sample", "backgrounds"): (GRID, lambda x, p: ss.plan_sample(TRAIN, x, more=20)),
    ("plot_change", "now"): (RAW, lambda x, p: ss.plot_change(x, TRUTH, question="taxes")),
    ("plot_change", "before"): (TRUTH, lambda x, p: ss.plot_change(RAW, x, question="taxes")),
    ("plot_map", "table"): (TRUTH, lambda x, p: ss.plot_map(x, trait="gender", question="taxes", tiles=TILES, draw=False)),
    ("plot_map", "tiles"): (TILES, lambda x, p: ss.plot_map(TRUTH, trait="gender", question="taxes", tiles=x, draw=False)),
    ("replicates_needed", "table"): (REPLICATED, lambda x, p: ss.replicates_needed(x, target_cv=0.1)),
    ("report", "published"): (TRUTH, lambda x, p: ss.report(RAW, p / "x.html", published=x)),
    ("scorecard", "simulated"): (MODELLED, lambda x, p: ss.scorecard(x, DIRECT, codebook=BOOK)),
    ("scorecard", "truth"): (DIRECT, lambda x, p: ss.scorecard(MODELLED, x, codebook=BOOK)),
    ("simulate_respondents", "df"): (
        opinion_frame(80)[["age", "gender", "w", "taxes", "vote"]],
        lambda x, p: ss.simulate_respondents(x, PEOPLE, questions=["taxes", "vote"], codebook=BOOK, n=50, method="shrunken"),
    ),
    ("survey_contrast", "against"): (
        SIMULATED,
        lambda x, p: ss.survey_contrast(TRUTH, {"gender=female": 1, "gender=male": -1}, against=x, independent=True),
    ),
    ("survey_contrast", "table"): (MEANS, lambda x, p: ss.survey_contrast(x, {"gender=female": 1, "gender=male": -1})),
    ("weights_applied", "table"): (RAW, lambda x, p: ss.weights_applied(x)),
    ("with_replicates", "weights"): (REPLICATES, lambda x, p: ss.with_replicates(SURVEY, x, method="bootstrap")),
    ("write_survey", "frame_or_survey"): (RESPONDENTS, lambda x, p: ss.write_survey(x, p / "x.sav", BOOK)),
    ("write_table", "frame"): (RAW, lambda x, p: ss.write_table(x, p / "x.sav")),
}
PAIRS = ss.background_grid(BOOK, by=["age", "gender"])


# verbs with a language model, which is tried on frames that it cannot be aligned with or asked of alone
ModelCall = Callable[[Any, Path, ss.OptionModel], Any]
WITH_MODEL: dict[tuple[str, str], tuple[pd.DataFrame, ModelCall]] = {
    ("align", "distributions"): (RAW, lambda x, p, m: ss.align(m, x, BOOK, progress=False)),
    ("align", "backgrounds"): (GRID, lambda x, p, m: ss.align(m, RAW, BOOK, backgrounds=x, progress=False)),
    ("align", "validation"): (TRUTH, lambda x, p, m: ss.align(m, RAW, BOOK, validation=x, progress=False)),
    ("align", "group_predictors"): (PREDICTORS, lambda x, p, m: ss.align(m, TABLE, BOOK, group_predictors=x, progress=False)),
    ("align", "prior"): (TRUTH, lambda x, p, m: ss.align(m, RAW, BOOK, prior=x, progress=False)),
    ("prompt_sensitivity", "df"): (
        RESPONDENTS,
        lambda x, p, m: ss.prompt_sensitivity(x, ["gender"], model=m, codebook=BOOK, progress=False),
    ),
    ("prompt_sensitivity", "backgrounds"): (GRID, lambda x, p, m: ss.prompt_sensitivity(TRAIN, x, model=m, progress=False)),
    ("simulate_to_parquet", "df"): (
        RESPONDENTS,
        lambda x, p, m: ss.simulate_to_parquet(x, ["gender"], p / "x.parquet", model=m, codebook=BOOK, progress=False),
    ),
    ("simulate_to_parquet", "backgrounds"): (
        GRID,
        lambda x, p, m: ss.simulate_to_parquet(TRAIN, x, p / "x.parquet", model=m, progress=False),
    ),
    ("simulate_to_parquet", "group_predictors"): (
        PREDICTORS,
        lambda x, p, m: ss.simulate_to_parquet(TRAIN, ["age"], p / "x.parquet", model=m, group_predictors=x, progress=False),
    ),
    ("simulate_to_parquet", "prior"): (
        TRUTH,
        lambda x, p, m: ss.simulate_to_parquet(TRAIN, ["gender"], p / "x.parquet", model=m, prior=x, progress=False),
    ),
}
NEVER_TAKEN = ("no rows", "no columns", "a MultiIndex of columns", "columns all of one name", "transposed", "a number", "an empty list")
SLOW = {
    ("compare_methods", "group_predictors"),
    ("compare_methods", "prior"),
    ("conformal_intervals", "simulated"),
    ("resampled_errors", "prior"),
}
TRIED = 25  # odd columns of each frame, drawn: all of them take minutes


@pytest.mark.parametrize(("verb", "argument"), CALLS)
def test_only_the_package_s_own_errors_come_out(verb: str, argument: str, tmp_path: Path) -> None:
    frame, call = CALLS[verb, argument]
    call(frame.copy(), tmp_path)
    plt.close("all")
    found = list(odd_frames(frame))
    whole, columns = found[: len(FRAMES)], found[len(FRAMES) :]
    draw = random.Random(crc32(f"{verb} {argument}".encode()))
    chosen = draw.sample(found, TRIED // 2) if (verb, argument) in SLOW else [*whole, *draw.sample(columns, TRIED)]
    refused, faults = 0, []
    for name, odd in chosen:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=UserWarning)
                call(odd, tmp_path)
        except ss.SurveySimError:
            refused += 1
        except Exception as error:
            faults.append(f"{name}: {type(error).__name__}: {error}"[:200])
        plt.close("all")
    assert faults == []
    assert refused >= 5, "so lenient a verb would be none that looks at its frame"


@pytest.mark.parametrize(("verb", "argument"), WITH_MODEL)
def test_a_model_is_asked_nothing_of_an_odd_frame(verb: str, argument: str, tmp_path: Path, base: ss.OptionModel) -> None:
    frame, call = WITH_MODEL[verb, argument]
    for name in NEVER_TAKEN:
        with pytest.raises(ss.SurveySimError):
            call(FRAMES[name](frame.copy()), tmp_path, base)
    assert list(tmp_path.iterdir()) == []


FRAME_KINDS = ("DataFrame", "PriorLike", "IntoFrame", "Margins", "FrameOrSurvey", "Floor")


def test_no_verb_that_takes_a_frame_is_forgotten() -> None:
    taken = set()
    for verb in ss.__all__:
        if inspect.isfunction(getattr(ss, verb)):
            for name, parameter in inspect.signature(getattr(ss, verb)).parameters.items():
                if "Callable" not in str(parameter.annotation) and any(kind in str(parameter.annotation) for kind in FRAME_KINDS):
                    taken.add((verb, name))
    assert taken == {*CALLS, *WITH_MODEL, *ELSEWHERE}
