"""Every verb that takes a list of names takes one name as well, and says of anything else what it wants."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import surveysim as ss
from tests.support.opinion_survey import opinion_codebook, opinion_survey

SURVEY = opinion_survey(200)
BOOK = opinion_codebook()
TABLE = ss.response_distributions(SURVEY, by=["age", "gender"], questions=["taxes", "vote"])
TABLE_BY_GENDER = ss.response_distributions(SURVEY, by="gender", questions="taxes")
TRAIN, REST = ss.hold_out_respondents(SURVEY, n_train=100, seed=0)
RAW, TRUTH = (ss.response_distributions(part, by=["gender"], questions=["taxes", "vote"]) for part in (TRAIN, REST))
GRID = ss.background_grid(BOOK, by=["gender"])
SCORES = ss.evaluate(RAW, TRUTH, codebook=BOOK)
PEOPLE = ss.observed_backgrounds(SURVEY, by=["age", "gender"])
OFFICIAL = pd.DataFrame(
    {"label": "voted", "source": ["official", "survey"], "share": [0.6, 0.7], "conf_low": [0.5, 0.6], "conf_high": [0.7, 0.8]}
)
pytestmark = pytest.mark.usefixtures("module_cache")
RELEASE = Path(ss.__file__).parent / "data" / "nonvoters2020.sav"
_NUMBERS = itertools.count()


def _simulated(names: Any) -> pd.DataFrame:
    return ss.simulate(TRAIN, GRID, questions=names, method="ridge")


def _halves(**names: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    chosen = {"by": ["gender"], "questions": ["taxes"], **names}
    halves = ss.cross_fit(SURVEY, lambda part: ss.response_distributions(part, by="gender", questions="taxes"), progress=False, **chosen)
    return halves.direct, halves.simulated


def _powered(**names: Any) -> pd.DataFrame:
    chosen = {"questions": ["taxes"], "by": ["gender"], **names}
    return ss.prediction_powered(SURVEY, TABLE, population=PEOPLE, independent=True, **chosen)


def _compared(**names: Any) -> pd.DataFrame:
    chosen = {"by": ["gender"], "methods": ["raw"], "questions": ["taxes"], "metrics": ["wasserstein"], **names}
    return ss.compare_methods(SURVEY, train_n=100, seeds=1, progress=False, **chosen).drop(columns="seconds")


def _drafted(folder: Path, traits: Any) -> str:
    folder.mkdir()
    return ss.draft_codebook(RELEASE, folder / "draft.toml", traits=traits).read_text(encoding="utf-8")


def _written(verb: Callable[..., Path], place: Path, suffix: str, **chosen: Any) -> str:
    target = place / f"{next(_NUMBERS)}{suffix}"
    return verb(path=target, **chosen).read_text(encoding="utf-8")


def _stored(place: Path, model: ss.OptionModel, **names: Any) -> pd.DataFrame:
    chosen = {"backgrounds": ["gender"], "questions": ["taxes"], **names}
    target = place / f"{next(_NUMBERS)}.parquet"
    return ss.read_table(ss.simulate_to_parquet(SURVEY, path=target, model=model, method="zero-shot", progress=False, **chosen))


def _read(place: Path, **names: Any) -> pd.DataFrame:
    TABLE.to_parquet(place / "table.parquet")
    return ss.read_table(place / "table.parquet", **names)


def _sensitive(model: ss.OptionModel, **names: Any) -> pd.DataFrame:
    chosen = {"backgrounds": ["gender"], "questions": ["taxes"], **names}
    other = {"wording": [ss.PromptTemplate(respondent="I am {background}. My answer:")]}
    return ss.prompt_sensitivity(SURVEY, model=model, method="zero-shot", variants=other, progress=False, **chosen)


# (verb, argument, a name) -> the call: with names, a folder to write into, and a model
Call = Callable[[Any, Path, ss.OptionModel], Any]
CALLS: dict[tuple[str, str, str], Call] = {
    ("as_survey", "questions", "taxes"): lambda x, p, m: ss.as_survey(SURVEY.data, BOOK, questions=x).data,
    ("as_survey", "traits", "gender"): lambda x, p, m: ss.as_survey(SURVEY.data, BOOK, traits=x).data,
    ("read_survey", "questions", "Q8_8"): lambda x, p, m: ss.read_survey(RELEASE, questions=x).data,
    ("read_survey", "traits", "gender"): lambda x, p, m: ss.read_survey(RELEASE, traits=x, questions="Q8_8").data,
    ("draft_codebook", "traits", "educ"): lambda x, p, m: _drafted(p / str(next(_NUMBERS)), x),
    ("background_grid", "by", "gender"): lambda x, p, m: ss.background_grid(BOOK, by=x),
    ("observed_backgrounds", "by", "gender"): lambda x, p, m: ss.observed_backgrounds(SURVEY, by=x),
    ("describe_background", "order", "gender"): lambda x, p, m: ss.describe_background({"age": "old", "gender": "male"}, BOOK, order=x),
    ("harmonise", "by", "gender"): lambda x, p, m: ss.harmonise(TABLE_BY_GENDER, BOOK, by=x),
    ("response_distributions", "by", "gender"): lambda x, p, m: ss.response_distributions(SURVEY, by=x),
    ("response_distributions", "questions", "vote"): lambda x, p, m: ss.response_distributions(SURVEY, questions=x),
    ("survey_mean", "by", "gender"): lambda x, p, m: ss.survey_mean(SURVEY, questions=["taxes"], by=x),
    ("survey_mean", "questions", "taxes"): lambda x, p, m: ss.survey_mean(SURVEY, questions=x),
    ("survey_total", "by", "gender"): lambda x, p, m: ss.survey_total(SURVEY, questions=["taxes"], by=x),
    ("survey_total", "questions", "taxes"): lambda x, p, m: ss.survey_total(SURVEY, questions=x),
    ("survey_quantile", "by", "gender"): lambda x, p, m: ss.survey_quantile(SURVEY, questions=["taxes"], by=x),
    ("survey_quantile", "questions", "taxes"): lambda x, p, m: ss.survey_quantile(SURVEY, questions=x),
    ("survey_chisq", "by", "gender"): lambda x, p, m: ss.survey_chisq(SURVEY, questions="vote", groups="age", by=x),
    ("survey_chisq", "questions", "taxes"): lambda x, p, m: ss.survey_chisq(SURVEY, questions=x, groups="age"),
    ("survey_gof", "by", "gender"): lambda x, p, m: ss.survey_gof(SURVEY, {"taxes": {BOOK.question("taxes").codes[0]: 0.5}}, by=x),
    ("survey_ttest", "by", "gender"): lambda x, p, m: ss.survey_ttest(SURVEY, questions="taxes", groups="age", by=x),
    ("survey_ttest", "questions", "taxes"): lambda x, p, m: ss.survey_ttest(SURVEY, questions=x, groups="age"),
    ("survey_ranktest", "by", "gender"): lambda x, p, m: ss.survey_ranktest(SURVEY, questions="taxes", groups="age", by=x),
    ("survey_ranktest", "questions", "taxes"): lambda x, p, m: ss.survey_ranktest(SURVEY, questions=x, groups="age"),
    ("survey_ratio", "by", "gender"): lambda x, p, m: ss.survey_ratio(SURVEY, numerator="taxes", denominator="trust", by=x),
    ("population_margins", "by", "gender"): lambda x, p, m: ss.population_margins(SURVEY, by=x),
    ("poststratify", "by", "gender"): lambda x, p, m: ss.poststratify(TABLE, PEOPLE, by=x),
    ("cross_fit", "by", "gender"): lambda x, p, m: _halves(by=x),
    ("cross_fit", "questions", "taxes"): lambda x, p, m: _halves(questions=x),
    ("prediction_powered", "by", "gender"): lambda x, p, m: _powered(by=x),
    ("prediction_powered", "questions", "taxes"): lambda x, p, m: _powered(questions=x),
    ("estimate_baseline", "ordinal", "taxes"): lambda x, p, m: ss.estimate_baseline(RAW, GRID, method="mrp", ordinal=x),
    ("simulate", "backgrounds", "gender"): lambda x, p, m: ss.simulate(TRAIN, x, questions=["taxes"], method="ridge"),
    ("simulate", "questions", "taxes"): lambda x, p, m: _simulated(x),
    ("simulate_to_parquet", "backgrounds", "gender"): lambda x, p, m: _stored(p, m, backgrounds=x),
    ("simulate_to_parquet", "questions", "taxes"): lambda x, p, m: _stored(p, m, questions=x),
    ("prompt_sensitivity", "backgrounds", "gender"): lambda x, p, m: _sensitive(m, backgrounds=x),
    ("prompt_sensitivity", "questions", "taxes"): lambda x, p, m: _sensitive(m, questions=x),
    ("prompt_variants", "traits", "gender"): lambda x, p, m: ss.prompt_variants(x),
    ("read_table", "questions", "taxes"): lambda x, p, m: _read(p, questions=x),
    ("read_table", "backgrounds", "age=old|gender=male"): lambda x, p, m: _read(p, backgrounds=x),
    ("evaluate", "metrics", "wasserstein"): lambda x, p, m: ss.evaluate(RAW, TRUTH, metrics=x, codebook=BOOK),
    ("evaluate", "ordinal", "taxes"): lambda x, p, m: ss.evaluate(RAW, TRUTH, ordinal=x),
    ("evaluate", "by", "source"): lambda x, p, m: ss.evaluate(RAW, TRUTH, codebook=BOOK, by=x),
    ("noise_floor", "metrics", "wasserstein"): lambda x, p, m: ss.noise_floor(TRUTH, n=100, metrics=x, codebook=BOOK),
    ("noise_floor", "ordinal", "taxes"): lambda x, p, m: ss.noise_floor(TRUTH, n=100, ordinal=x),
    ("diagnose", "ordinal", "taxes"): lambda x, p, m: ss.diagnose(RAW, TRUTH, ordinal=x),
    ("summarise_scores", "by", "question_id"): lambda x, p, m: ss.summarise_scores(SCORES, by=x),
    ("compare_methods", "by", "gender"): lambda x, p, m: _compared(by=x),
    ("compare_methods", "methods", "raw"): lambda x, p, m: _compared(methods=x),
    ("compare_methods", "questions", "taxes"): lambda x, p, m: _compared(questions=x),
    ("compare_methods", "metrics", "wasserstein"): lambda x, p, m: _compared(metrics=x),
    ("hold_out_backgrounds", "by", "age"): lambda x, p, m: ss.hold_out_backgrounds(SURVEY, fraction=0.3, seed=0, by=x)[1].data,
    ("hold_out_levels", "levels", "old"): lambda x, p, m: ss.hold_out_levels(TABLE, trait="age", levels=x),
    ("plot_distributions", "sources", "survey"): lambda x, p, m: ss.plot_distributions(TABLE, question="taxes", sources=x, draw=False),
    ("plot_distributions", "backgrounds", "age=old|gender=male"): lambda x, p, m: ss.plot_distributions(
        TABLE, question="taxes", backgrounds=x, draw=False
    ),
    ("plot_shifts", "sources", "survey"): lambda x, p, m: ss.plot_shifts(TABLE, question="taxes", trait="age", sources=x, draw=False),
    ("plot_official", "sources", "survey"): lambda x, p, m: ss.plot_official(OFFICIAL, sources=x, draw=False),
    ("protect", "model_based", "survey"): lambda x, p, m: ss.protect(TABLE, model_based=x),
    ("export_table", "model_based", "survey"): lambda x, p, m: _written(ss.export_table, p, ".csv", table=TABLE, model_based=x),
    ("export_popfidelity", "model_based", "survey"): lambda x, p, m: _written(
        ss.export_popfidelity, p, ".csv", distributions=TABLE, model_based=x
    ),
    ("export_poststratification", "by", "gender"): lambda x, p, m: _written(
        ss.export_poststratification, p, ".csv", population=SURVEY, by=x
    ),
}
REFUSE_ONE = {("hold_out_questions", "questions")}  # one question cannot be parted, as a name or as a list
# take mappings or make files of their own: tests/estimation/test_outside_tables.py and tests/drafting/test_adding.py call them both ways
TESTED_APART = {("as_distributions", "by"), ("as_distributions", "answers"), ("add_question", "questions")}


def _same(first: Any, second: Any) -> None:
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
        assert len(first), "nothing was compared"
    elif isinstance(first, tuple):
        for one, other in zip(first, second, strict=True):
            _same(one, other)
    else:
        assert first == second
        assert first


@pytest.mark.parametrize(("verb", "argument", "name"), CALLS)
def test_one_name_is_a_list_of_one(verb: str, argument: str, name: str, tmp_path: Path, base: ss.OptionModel) -> None:
    call = CALLS[verb, argument, name]
    _same(call(name, tmp_path, base), call([name], tmp_path, base))


@pytest.mark.parametrize(("verb", "argument", "name"), CALLS)
def test_what_is_no_name_is_refused_by_argument(verb: str, argument: str, name: str, tmp_path: Path, base: ss.OptionModel) -> None:
    with pytest.raises(ss.SurveySimError, match=f"^{argument} must be a name or a list of names; got int 3; give {argument}= one name"):
        CALLS[verb, argument, name](3, tmp_path, base)
    inside = "be a name or a list of names; got int" if verb == "population_margins" else "hold names, which are text; got"
    with pytest.raises(ss.SurveySimError, match=f"^{argument} must {inside} 3; give {argument}= one name"):
        CALLS[verb, argument, name]([name, 3], tmp_path, base)


UNCHECKED = {"ordinal", "traits of prompt_variants", "questions of read_table", "backgrounds of read_table"}


@pytest.mark.parametrize(
    ("verb", "argument", "name"),
    [key for key in CALLS if key[1] not in UNCHECKED and f"{key[1]} of {key[0]}" not in UNCHECKED],
)
def test_an_unknown_name_gets_the_nearest(verb: str, argument: str, name: str, tmp_path: Path, base: ss.OptionModel) -> None:
    wrong = f"{name}x"
    with pytest.raises(ss.SurveySimError) as caught:
        CALLS[verb, argument, name]([wrong], tmp_path, base)
    assert wrong in str(caught.value)
    assert name in str(caught.value).replace(wrong, ""), "the nearest name is not given"


def test_no_list_of_names_is_forgotten() -> None:
    """Whatever public verb takes a sequence of text, takes one name: a new one has to join the calls above."""
    taken = set()
    for verb in ss.__all__:
        if inspect.isfunction(getattr(ss, verb)):
            for name, parameter in inspect.signature(getattr(ss, verb)).parameters.items():
                if any(kind in str(parameter.annotation) for kind in ("Sequence[str", "Collection[str", "Iterable[str", "list[str")):
                    assert "str | " in str(parameter.annotation), f"{verb}({name}=) does not say that one name will do"
                    taken.add((verb, name))
    assert taken == {key[:2] for key in CALLS} | REFUSE_ONE | TESTED_APART


@pytest.mark.parametrize("given", ["taxes", ["taxes"]], ids=str)
def test_one_question_cannot_be_parted(given: str | list[str]) -> None:
    with pytest.raises(ss.SurveySimError, match="holding out questions needs at least two of them; there is taxes"):
        ss.hold_out_questions(given, fraction=0.5, seed=0, by_topic=False)
