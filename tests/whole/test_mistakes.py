"""Mistakes that users make, over all verbs: each is refused in words that name what was given, the rule and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.opinion_survey import opinion_codebook, opinion_frame, opinion_survey

BOOK = opinion_codebook()
OTHER = ss.load_codebook("nonvoters2020")
FRAME = opinion_frame(200)
SURVEY = opinion_survey(200)
TRAIN, REST = ss.hold_out_respondents(SURVEY, n_train=100, seed=0)
SHARES = ss.response_distributions(SURVEY, by=["age", "gender"], questions=["taxes", "vote"])
RAW, TRUTH = (ss.response_distributions(part, by="gender", questions=["taxes", "vote"]) for part in (TRAIN, REST))
GRID = ss.background_grid(BOOK, by="gender")
SIMULATED = ss.simulate(TRAIN, GRID, questions=["taxes", "vote"], method="mrp")
SCORES = pd.concat([ss.evaluate(RAW, TRUTH, codebook=BOOK).assign(source=name) for name in ("raw", "mrp")], ignore_index=True)
PEOPLE = ss.observed_backgrounds(SURVEY, by=["age", "gender"])
GENDER = {"gender": {"female": 0.5, "male": 0.5}}
TRIALS = pd.DataFrame(
    {"n": 200, "method": ["raw", "mrp"], "seed": 1, "question_id": "taxes", "metric": "wasserstein", "estimate": [0.1, 0.2]}
)

Mistake = tuple[Callable[[], object], tuple[str, ...]]
# what was done -> the call, and what the message says: argument, what was given, the rule or the nearest, the remedy
MISTAKES: dict[str, Mistake] = {
    # reading
    "a codebook misspelt": (lambda: ss.load_codebook("nonvoter2020"), ("'nonvoter2020'", "did you mean 'nonvoters2020'")),
    "a file that is not there": (
        lambda: ss.read_survey("nowhere.sav", "nonvoters2020"),
        ("nowhere.sav", "does not exist", "check the path"),
    ),
    "a frame in place of a path": (lambda: ss.read_survey(FRAME), ("path must be", "got DataFrame", "as_survey")),
    "an example misspelt": (lambda: ss.load_example("nonvoter2020"), ("'nonvoter2020'", "nonvoters2020")),
    "a question misspelt": (lambda: ss.as_survey(FRAME, BOOK, questions="taxs"), ("questions", "'taxs'", "did you mean 'taxes'")),
    "a trait misspelt": (lambda: ss.as_survey(FRAME, BOOK, traits="gendr"), ("traits", "'gendr'", "did you mean 'gender'")),
    "a weight misspelt": (lambda: ss.as_survey(FRAME, BOOK, weight="ww"), ("weight 'ww'", "weight='none'")),
    "no weight column": (lambda: ss.as_survey(FRAME.drop(columns="w"), BOOK), ("lacks weight 'w'", "name another with weight=")),
    "a weight missing": (
        lambda: ss.as_survey(FRAME.assign(w=FRAME["w"].where(FRAME.index > 0)), BOOK),
        ("weight 'w'", "1 missing", "rows 0", "must be finite"),
    ),
    "a weight of text": (lambda: ss.as_survey(FRAME.assign(w="heavy"), BOOK), ("weight 'w'", "'heavy'", "number")),
    "weights of 1e-300": (lambda: ss.as_survey(FRAME.assign(w=1e-300), BOOK), ("weight 'w'", "1e-300")),
    "weights of 1e308": (lambda: ss.as_survey(FRAME.assign(w=1e308), BOOK), ("weight 'w'", "1e+308")),
    "a question's column not there": (
        lambda: ss.as_survey(FRAME.drop(columns="vote"), BOOK, questions="vote"),
        ("'vote'", "the frame lacks"),
    ),
    "an answer that is no option": (
        lambda: ss.as_survey(FRAME.assign(vote=9), BOOK),
        ("question 'vote'", "code 9", "add it to one of them"),
    ),
    "lists as answers": (
        lambda: ss.as_survey(FRAME.assign(vote=[[1]] * 200), BOOK),
        ("column 'vote'", "[1]", "a cell is a number or text", "drop it"),
    ),
    "a column twice": (
        lambda: ss.as_survey(pd.concat([FRAME, FRAME[["vote"]]], axis=1), BOOK),
        ("'vote'", "stand twice", "rename or remove"),
    ),
    "no respondents": (lambda: ss.as_survey(FRAME.iloc[:0], BOOK), ("holds no respondents", "at least one row")),
    "text in place of a frame": (lambda: ss.as_survey("survey.sav", BOOK), ("frame must be a frame", "got str")),
    # estimates of a survey
    "a frame in place of a survey": (lambda: ss.response_distributions(FRAME), ("survey must be a Survey", "as_survey(frame, codebook)")),
    "by misspelt": (lambda: ss.response_distributions(SURVEY, by="gendr"), ("by", "'gendr'", "did you mean 'gender'")),
    "by a number": (lambda: ss.response_distributions(SURVEY, by=3), ("by must be a name or a list of names", "got int 3", "age, gender")),
    "questions empty": (lambda: ss.response_distributions(SURVEY, questions=[]), ("questions is empty", "give questions= one name")),
    "a rule for missing misspelt": (lambda: ss.response_distributions(SURVEY, missing="dropp"), ("missing must be", "'dropp'", "'drop'")),
    "a mean of no question": (lambda: ss.survey_mean(SURVEY, questions="income"), ("questions", "'income'", "did you mean")),
    "a quantile of 2": (lambda: ss.survey_quantile(SURVEY, questions="taxes", quantiles=[2]), ("quantiles", "2", "0", "1")),
    "a quantile that is text": (
        lambda: ss.survey_quantile(SURVEY, questions="taxes", quantiles="median"),
        ("quantiles must be numbers in 0-1", "'median'", "0.5"),
    ),
    "no quantile": (lambda: ss.survey_quantile(SURVEY, questions="taxes", quantiles=[]), ("quantiles is empty", "0.5")),
    "one sign in a filter": (lambda: SURVEY.filter("gender = 'female'"), ("condition", "== compares, = does not")),
    "a lonely rule misspelt": (lambda: ss.survey_mean(SURVEY, questions="taxes", lonely_psu="remov"), ("lonely_psu", "'remov'", "remove")),
    "groups misspelt": (lambda: ss.survey_chisq(SURVEY, questions="vote", groups="gendr"), ("groups", "'gendr'", "did you mean 'gender'")),
    "an adjustment misspelt": (
        lambda: ss.survey_ttest(SURVEY, questions="taxes", groups="gender", adjust="hollm"),
        ("adjust", "'hollm'", "holm"),
    ),
    "shares of a goodness of fit that sum to more": (lambda: ss.survey_gof(SURVEY, {"vote": {1: 0.9, 2: 0.9}}), ("vote", "sum")),
    "a contrast of a background that is not there": (
        lambda: ss.survey_contrast(ss.survey_mean(SURVEY, questions="taxes", by="gender"), {"gender=woman": 1, "gender=male": -1}),
        ("'gender=woman'", "gender=female"),
    ),
    "a count of missing of nothing": (lambda: ss.na_table(SURVEY, of="question"), ("of must be", "'question'", "questions")),
    "duplicates over 1": (lambda: ss.check_duplicates(SURVEY, share=85), ("share", "85")),
    # weighting
    "margins of another trait": (lambda: ss.rake(SURVEY, {"gendr": {"female": 0.5, "male": 0.5}}), ("margins", "'gendr'", "'gender'")),
    "a level spelt otherwise in rake": (
        lambda: ss.rake(SURVEY, {"gender": {"Female": 0.5, "male": 0.5}}),
        ("margins: trait 'gender' has no level 'Female'", "did you mean 'female'"),
    ),
    "a level left out of rake": (lambda: ss.rake(SURVEY, {"gender": {"female": 1.0}}), ("'gender'", "gender=male", "add them")),
    "percent in rake": (lambda: ss.rake(SURVEY, {"gender": {"female": 50, "male": 50}}), ("sum to 100", "percent", "divide by 100")),
    "a list in rake": (
        lambda: ss.rake(SURVEY, {"gender": [0.5, 0.5]}),
        ("margins: gender must map levels to numbers", "got list [0.5, 0.5]"),
    ),
    "no margins": (lambda: ss.rake(SURVEY, {}), ("margins is empty", "give at least one trait")),
    "margins of text": (lambda: ss.rake(SURVEY, {"gender": {"female": "half", "male": "half"}}), ("count must hold numbers", "'half'")),
    "people of 1e308": (
        lambda: ss.rake(SURVEY, {"gender": {"female": 1e308, "male": 1e308}}),
        ("count is 1e+308", "only 1e-100 to 1e+100 can be computed with"),
    ),
    "trimmed to nothing": (lambda: ss.trim_weights(SURVEY, upper=0.1), ("lower < mean weight < upper", "0.1")),
    "a method of calibration misspelt": (lambda: ss.calibrate(SURVEY, GENDER, method="rakin"), ("method", "'rakin'", "raking")),
    "a population without traits": (
        lambda: ss.poststratify_weights(SURVEY, pd.DataFrame({"count": [1]})),
        ("a column per trait", "gender"),
    ),
    "a method of replicates misspelt": (lambda: ss.as_replicates(SURVEY, method="bootstrp"), ("method", "'bootstrp'", "bootstrap")),
    "replicates of other respondents": (
        lambda: ss.with_replicates(SURVEY, np.ones((3, 2)), method="BRR"),
        ("a row per respondent (200)", "(3, 2)"),
    ),
    # populations
    "a population misspelt": (lambda: ss.read_population("us_adult_2014_2018"), ("'us_adult_2014_2018'", "us_adults_2014_2018")),
    "a level spelt otherwise in poststratify": (
        lambda: ss.poststratify(SHARES, PEOPLE.drop(columns="background_id").assign(gender=PEOPLE["gender"].astype(str).str.title())),
        ("population: trait 'gender' has level 'Female', 'Male'", "did you mean 'female'", "spell the levels"),
    ),
    "a cell left out of the population": (
        lambda: ss.poststratify(SHARES, PEOPLE.iloc[1:].assign(population_share=0.2)),
        ("population has nobody in", "age=young|gender=female"),
    ),
    "population shares that are percent": (
        lambda: ss.poststratify(SHARES, PEOPLE.assign(population_share=PEOPLE["population_share"] * 100)),
        ("population_share", "sums to 100", "must sum to 1"),
    ),
    "margins without a structure": (lambda: ss.poststratify(SHARES, GENDER), ("population holds margins", "give structure=")),
    "a population without a count": (lambda: ss.population_margins(PEOPLE[["gender"]], by="gender"), ("'count' and 'population_share'",)),
    "a trait that the population lacks": (lambda: ss.poststratify(SHARES, PEOPLE, by="region"), ("by", "'region'", "known: age, gender")),
    # tables
    "a survey in place of a table": (lambda: ss.protect(SURVEY), ("table must be a pandas DataFrame", "got Survey")),
    "a series in place of a table": (
        lambda: ss.evaluate(RAW["share"], TRUTH, codebook=BOOK),
        ("estimated must be", "got Series", ".to_frame()"),
    ),
    "a table without shares": (
        lambda: ss.evaluate(RAW.drop(columns="share"), TRUTH, codebook=BOOK),
        ("estimated lacks column share", "it has question_id"),
    ),
    "the question in the index": (
        lambda: ss.evaluate(RAW.set_index("question_id"), TRUTH, codebook=BOOK),
        ("estimated lacks column question_id", "estimated.reset_index()"),
    ),
    "columns in two levels": (
        lambda: ss.show(RAW.set_axis(pd.MultiIndex.from_product([["a"], RAW.columns]), axis=1)),
        ("table has columns in 2 levels", "give each column one name"),
    ),
    "shares twice": (
        lambda: ss.background_shifts(pd.concat([RAW, RAW[["share"]]], axis=1)),
        ("distributions has several columns named 'share'", "keep one of each"),
    ),
    "shares of text": (
        lambda: ss.background_shifts(RAW.assign(share="half")),
        ("distributions: share must hold numbers", "'half' in row 0", "pandas.to_numeric"),
    ),
    "shares in percent": (lambda: ss.background_shifts(RAW.assign(share=RAW["share"] * 100)), ("shares must lie in 0-1", "divide by 100")),
    "shares that do not sum to 1": (lambda: ss.background_shifts(RAW.assign(share=0.2)), ("the shares of a cell must sum to 1", "taxes")),
    "rows twice": (lambda: ss.background_shifts(pd.concat([RAW, RAW])), ("rows repeat", "give each its own source")),
    "a negative n": (lambda: ss.protect(RAW.assign(n=-1)), ("table: n must be finite and at least 0", "-1 in row 0")),
    "a background that is none": (
        lambda: ss.split_background(RAW.assign(background_id="women")),
        ("background_id 'women' is none", "trait=level|trait=level"),
    ),
    "a source missing": (lambda: ss.background_shifts(RAW.assign(source=None)), ("source is empty in row 0", "give every row one")),
    "stack of nothing": (lambda: ss.stack([]), ("tables must hold DataFrames, at least one", "got none")),
    "a path in place of an outside table": (
        lambda: ss.as_distributions("simulator.csv", BOOK, by="gender", shares="share"),  # type: ignore[arg-type]
        ("frame must be a pandas DataFrame", "got str", "pandas.read_csv", "read_survey"),
    ),
    "an outside table with a column an option": (
        lambda: ss.as_distributions(pd.DataFrame({"gender": ["male"], "Yes": 0.4, "No": 0.6}), BOOK, by="gender", shares=["Yes", "No"]),  # type: ignore[arg-type]
        ("shares must name one column", "['Yes', 'No']", "frame.melt(id_vars=[...], var_name='option_code', value_name='shares')"),
    ),
    "empty replies of a simulator": (
        lambda: ss.as_distributions(
            pd.DataFrame({"gender": ["male", "male"], "reply": ["1", None]}), BOOK, by="gender", answers="reply", question="vote"
        ),
        ("question 'vote' has no answer in 1 row (missing)", "unmatched='drop'"),
    ),
    "a path in place of respondents": (
        lambda: ss.simulate("ess.sav", ["gender"], method="mrp"),  # type: ignore[arg-type]
        ("df must be a Survey or a frame", "the path 'ess.sav'", "read_survey('ess.sav')"),
    ),
    "a trait of an outside table misspelt": (
        lambda: ss.as_distributions(
            pd.DataFrame({"gendr": ["female"], "question_id": ["vote"], "option_code": [1], "share": [1.0]}),
            BOOK,
            by="gendr",
            shares="share",
        ),
        ("'gendr'", "'gender'"),
    ),
    # simulation
    "a method misspelt": (lambda: ss.simulate(TRAIN, ["gender"], method="mrpp"), ("method 'mrpp' is unknown", "did you mean 'mrp'")),
    "a frame without a codebook": (lambda: ss.simulate(FRAME, ["gender"], method="mrp"), ("a plain frame needs codebook=",)),
    "backgrounds misspelt": (lambda: ss.simulate(TRAIN, ["gendr"], method="mrp"), ("backgrounds", "'gendr'", "did you mean 'gender'")),
    "a level of backgrounds misspelt": (
        lambda: ss.simulate(TRAIN, pd.DataFrame({"gender": ["femal"]}), method="mrp"),
        ("backgrounds: trait 'gender' has no level 'femal'", "female, male"),
    ),
    "columns of unequal length": (
        lambda: ss.simulate(TRAIN, {"gender": ["female", "male"], "age": ["young", "middle", "old"]}, method="mrp"),
        ("backgrounds has columns of unequal length (gender 2, age 3)", "background_grid(codebook, by=[...])"),
    ),
    "a level in place of a column": (
        lambda: ss.simulate(TRAIN, {"gender": "female"}, method="mrp"),
        ("backgrounds must map each trait to a list of levels", "gender: 'female'", "background_grid"),
    ),
    "backgrounds of a number": (
        lambda: ss.simulate(TRAIN, 3, method="mrp"),
        ("backgrounds must be a name or a list of names", "got int 3"),
    ),
    "a background twice": (
        lambda: ss.simulate(TRAIN, {"gender": ["male", "male"]}, method="mrp"),
        ("backgrounds repeats gender=male", "keep one row each"),
    ),
    "ten draws": (lambda: ss.simulate(TRAIN, ["gender"], method="mrp", draws=10), ("draws must be 0 (none) or at least 20", "got 10")),
    "a model that is none": (lambda: ss.simulate(TRAIN, ["gender"], model="smollm2-135m"), ("model", "load_model", "str")),
    "predictors of text": (
        lambda: ss.simulate(
            TRAIN, ["age"], method="ridge", group_predictors=pd.DataFrame({"age": ["young", "old"], "income": ["low", "high"]})
        ),
        ("group_predictors: column 'income'", "pandas.to_numeric"),
    ),
    "a baseline misspelt": (lambda: ss.estimate_baseline(RAW, GRID, method="rigde"), ("method: there is no baseline 'rigde'", "'ridge'")),
    "a path that is no Parquet": (
        lambda: ss.simulate_to_parquet(TRAIN, ["gender"], "cells.csv", model=None),  # type: ignore[arg-type]
        ("cells.csv", ".parquet"),
    ),
    "a trait of a grid misspelt": (lambda: ss.background_grid(BOOK, by="gendr"), ("by", "'gendr'", "did you mean 'gender'")),
    "a table that is not of the codebook": (
        lambda: ss.harmonise(RAW, OTHER),
        ("table has none of the questions of nonvoters2020", "it has taxes, vote", "crosswalk="),
    ),
    # evaluation
    "a metric misspelt": (
        lambda: ss.evaluate(RAW, TRUTH, metrics="waserstein", codebook=BOOK),
        ("metrics", "'waserstein'", "'wasserstein'"),
    ),
    "no scale known": (lambda: ss.evaluate(RAW, TRUTH), ("give codebook=", "or ordinal=")),
    "the codebook of another survey": (
        lambda: ss.evaluate(RAW, TRUTH, codebook=OTHER),
        ("codebook 'nonvoters2020' lacks question 'taxes', 'vote'", "give the codebook of this survey", "ordinal="),
    ),
    "several sources at once": (
        lambda: ss.evaluate(pd.concat([RAW, SIMULATED]), TRUTH, codebook=BOOK),
        ("estimated holds 2 sources (survey, mrp)", "by='source'"),
    ),
    "a mean over several sources": (
        lambda: ss.summarise_scores(SCORES),
        ("scores holds 2 values of 'source' (raw, mrp)", "give by='source'"),
    ),
    "other cells": (lambda: ss.evaluate(SHARES, TRUTH, codebook=BOOK), ("the tables hold different cells", "on='shared'")),
    "weights of text": (lambda: ss.evaluate(RAW, TRUTH, codebook=BOOK, weights="n"), ("weights must be a DataFrame", "got str 'n'")),
    "a noise floor of no respondents": (lambda: ss.noise_floor(TRUTH, n=0, codebook=BOOK), ("n must be positive", "got 0")),
    "more respondents than there are": (
        lambda: ss.hold_out_respondents(SURVEY, n_train=900, seed=0),
        ("n_train must be 1 to 199", "got 900"),
    ),
    "a fraction of 2": (lambda: ss.hold_out_backgrounds(SHARES, fraction=2, seed=0), ("fraction must be above 0 and below 1", "got 2")),
    "a level to hold out misspelt": (
        lambda: ss.hold_out_levels(SHARES, trait="age", levels="odl"),
        ("levels", "'odl'", "did you mean 'old'"),
    ),
    "a method to compare misspelt": (
        lambda: ss.compare_methods(SURVEY, by="gender", train_n=100, methods="mpr", progress=False),
        ("methods", "'mpr'", "'mrp'"),
    ),
    "a reference misspelt": (lambda: ss.paired_differences(TRIALS, reference="rwa"), ("reference 'rwa'", "'raw'")),
    "a metric that was not scored": (lambda: ss.summarise_comparison(TRIALS, metric="kl"), ("metric 'kl'", "wasserstein")),
    "official facts misspelt": (lambda: ss.read_official("us_votin_2020"), ("'us_votin_2020'", "'us_voting_2020'")),
    # inference
    "learnt from the same respondents": (lambda: ss.composite(TRUTH, RAW), ("learnt from respondents", "cross_fit", "independent=True")),
    "one fold": (lambda: ss.cross_fit(SURVEY, lambda part: RAW, by="gender", folds=1, progress=False), ("folds", "1")),
    "no error to spread by": (
        lambda: ss.restore_spread(SIMULATED.assign(std_error=np.nan)),
        ("needs a std_error in every row", "use a method with a posterior"),
    ),
    "a share of limits": (lambda: ss.abstain(SIMULATED, TRAIN, max_variance_left=90), ("max_variance_left", "at most 1", "90")),
    # figures and files
    "a question that the table lacks": (lambda: ss.plot_distributions(RAW, question="taxs"), ("no question 'taxs'", "'taxes'")),
    "a trait that the figure lacks": (lambda: ss.plot_shifts(SHARES, question="taxes", trait="agee"), ("trait", "'agee'", "'age'")),
    "scores that are not averaged": (
        lambda: ss.plot_scores(SCORES),
        ("scores repeats source raw", "summarise_scores(scores, by='source')"),
    ),
    "a floor of text": (
        lambda: ss.plot_scores(ss.summarise_scores(SCORES, by="source"), floor="low"),
        ("floor must be a number", "noise_floor", "'low'"),
    ),
    "a rule of disclosure misspelt": (lambda: ss.protect(RAW, how="supress"), ("how", "'supress'", "suppress")),
    "an ending that is unknown": (lambda: ss.export_table(RAW, "shares.xls"), ("shares.xls", ".csv", ".parquet")),
    "a folder that is not there": (lambda: ss.export_table(RAW, "nowhere/shares.csv"), ("nowhere", "does not exist")),
    "scores to export as they are": (lambda: ss.export_table(SCORES, "scores.csv"), ("table has no column n", "min_n=0")),
    "text and numbers in one column": (
        lambda: ss.write_table(pd.DataFrame({"a": [1, "b"]}, dtype=object), "table.sav"),
        ("column 'a' mixes text and numbers", "write text or numbers alone"),
    ),
    "letters that no file takes": (
        lambda: ss.export_table(RAW.assign(note="a\0b"), "shares.csv"),
        ("column 'note'", "'a\\x00b' in row 0", "replace them"),
    ),
    "no rows to show": (lambda: ss.show(RAW, rows=0), ("rows must be at least 1", "got 0")),
    "a table cited": (lambda: ss.cite(3), ("cite takes surveys, codebooks and tables", "got int")),
    "a survey cited by name alone": (lambda: ss.cite(RAW), ("'opinions'", "does not ship", "cite(result, survey)")),
    # verbs of one mistake each
    "a design file that lacks the key": (
        lambda: ss.add_design(FRAME, FRAME),
        ("survey must be a Survey, which brings weight, design and", "got DataFrame: make one with as_survey(frame, codebook)"),
    ),
    "no tables to audit": (lambda: ss.audit_disclosure([]), ("tables holds no table; give all that are to be published",)),
    "totals that are no table": (
        lambda: ss.benchmark_to(RAW, 3, population=PEOPLE),
        ("totals must be a pandas DataFrame with columns question_id,", "got int"),
    ),
    "folds of one to choose by": (
        lambda: ss.choose_method(TRAIN, GRID, methods=["mrpp"]),
        ("methods: there is no method 'mrpp'; did you mean 'mrp'?",),
    ),
    "weights to compare misspelt": (
        lambda: ss.compare_weights(SURVEY, "ww", questions="taxes"),
        ("weights: the survey has no weight 'ww'; did you mean 'w'?",),
    ),
    "official figures misspelt": (
        lambda: ss.compare_with_official(RAW, "us_voting"),
        ("official must be a pandas DataFrame with columns", "got str"),
    ),
    "a level of intervals above one": (
        lambda: ss.conformal_intervals(ss.CrossFit(RAW, SIMULATED, np.zeros(100)), RAW, level=95),
        ("level must lie between 0 and 1, such as 0.95; got 95",),
    ),
    "a curve without n": (
        lambda: ss.data_saved(TRIALS.drop(columns="n"), TRIALS),
        ("curve lacks column n; it has method, seed, question_id,",),
    ),
    "a background of no trait": (
        lambda: ss.describe_background({"gendr": "male"}, BOOK),
        ("background: 'gendr' is no trait of codebook 'opinions'; did",),
    ),
    "a diagnosis of text": (lambda: ss.diagnose(RAW, "truth"), ("reference must be a pandas DataFrame with columns", "got str")),
    "a draft of no file": (
        lambda: ss.draft_codebook("nowhere.sav", "book.toml"),
        ("file 'nowhere.sav' does not exist; its folder holds no",),
    ),
    "a model to export that is none": (lambda: ss.export_model(3, "folder"), ("model must come from load_model() or align(); got int 3",)),
    "popfidelity with another ending": (
        lambda: ss.export_popfidelity(RAW, "x.doc", codebook=BOOK),
        ("x.doc: extension '.doc' cannot be written; use .csv",),
    ),
    "a frame for brms with another ending": (
        lambda: ss.export_poststratification(SURVEY, "x.doc", by="gender"),
        ("x.doc: extension '.doc' cannot be written; use .csv",),
    ),
    "a model to fetch misspelt": (
        lambda: ss.fetch_model("smollm2-135n"),
        ("model 'smollm2-135n' is no folder here and no hub id", "did you mean 'smollm2-135m'?"),
    ),
    "questions of a list by topic": (
        lambda: ss.hold_out_questions(["taxes", "vote"], fraction=0.5, seed=0),
        ("a list of questions carries no topics; give the codebook or",),
    ),
    "a population table misspelt": (
        lambda: ss.read_population("us_adults"),
        ("no population table 'us_adults' ships with surveysim, and", "did you mean 'us_adults_2014_2018'?"),
    ),
    "a joint population of text": (
        lambda: ss.joint_population(FRAME, {"gender": 1}),
        ("structure must be a pandas DataFrame; got dict: make one",),
    ),
    "the memory of an unknown model": (
        lambda: ss.memory_and_time("nobody", SURVEY, by="gender"),
        ("model 'nobody' is neither on this machine nor in", "known: Qwen3-4B, Qwen3-32B, SmolLM2-135M Else give its"),
    ),
    "the size of an unknown model": (
        lambda: ss.model_size("smollm"),
        ("configuration str lacks hidden_size, num_hidden_layers,", "give a ModelSize in its place"),
    ),
    "more respondents than none": (
        lambda: ss.plan_sample(TRAIN, GRID, more=0),
        ("more must be a whole number of respondents, at least 1; got",),
    ),
    "a change of a question misspelt": (
        lambda: ss.plot_change(RAW, TRUTH, question="taxs"),
        ("now holds no question 'taxs'; did you mean",),
    ),
    "a curve without the method": (
        lambda: ss.plot_data_saved(TRIALS, method="dsa", reference="raw"),
        ("method: curve has no source 'dsa'; known: raw, mrp",),
    ),
    "a map of a trait misspelt": (
        lambda: ss.plot_map(RAW, trait="gendr", question="taxes"),
        ("trait: the backgrounds gender=female, gender=male have no", "did you mean 'gender'?"),
    ),
    "a map of levels without tiles": (
        lambda: ss.plot_map(RAW, trait="gender", question="taxes"),
        ("tiles: the grids that ship (europe, us_divisions,", "give tiles= a frame with columns level, row and column, or"),
    ),
    "an official figure of shares alone": (
        lambda: ss.plot_official(RAW.drop(columns="conf_low")),
        ("comparison lacks column conf_low; it has question_id,", "14 in all)"),
    ),
    "extreme weights below the mean": (
        lambda: ss.plot_weights(SURVEY, extreme=0.5),
        ("extreme=0.5 must be above 1: so many times the mean weight",),
    ),
    "waves of one": (lambda: ss.pool_waves({"a": SURVEY}), ("waves holds 1 survey; pooling needs two or more",)),
    "fidelity of text": (
        lambda: ss.population_fidelity(RAW, "truth", codebook=BOOK),
        ("reference must be a pandas DataFrame with columns", "got str"),
    ),
    "variants of a trait misspelt": (lambda: ss.prompt_variants(3), ("traits must be a name or a list of names; got int 3; give",)),
    "a table that is not there": (
        lambda: ss.read_table("nowhere.parquet"),
        ("'nowhere.parquet' cannot be read as a table in Parquet", "give the file that simulate_to_parquet wrote"),
    ),
    "a target of zero": (lambda: ss.replicates_needed(RAW, target_cv=0), ("target_cv must lie between 0 and 1, as 0.05 for 5%; got 0",)),
    "a report of text": (lambda: ss.report("shares"), ("result must be a pandas DataFrame with columns question_id,", "got str")),
    "savings over a method misspelt": (
        lambda: ss.savings(TRIALS, reference="mpr"),
        ("reference 'mpr' is not among the methods; did you mean",),
    ),
    "a scorecard with few draws": (
        lambda: ss.scorecard(RAW, TRUTH, codebook=BOOK, draws=3),
        ("draws must be at least 19, so that a p value can fall to", "got 3"),
    ),
    "a scorecard of other questions": (
        lambda: ss.scorecard(RAW, TRUTH, codebook=OTHER),
        ("codebook 'nonvoters2020' lacks question 'taxes', 'vote', so", "87 in all)"),
    ),
    "respondents by a method misspelt": (
        lambda: ss.simulate_respondents(SURVEY, PEOPLE, questions=["taxes"], method="mpr"),
        ("method 'mpr' is unknown; did you mean 'mrp'?",),
    ),
    "ranks of a question misspelt": (
        lambda: ss.survey_ranktest(SURVEY, questions="taxs", groups="gender"),
        ("questions: codebook 'opinions' has no question 'taxs'; did",),
    ),
    "a ratio of a question misspelt": (
        lambda: ss.survey_ratio(SURVEY, numerator="taxs", denominator="vote"),
        ("numerator: codebook 'opinions' has no question 'taxs'; did",),
    ),
    "a total of a question misspelt": (
        lambda: ss.survey_total(SURVEY, questions="taxs"),
        ("questions: codebook 'opinions' has no question 'taxs'; did",),
    ),
    "weights applied of text": (lambda: ss.weights_applied("table"), ("table must be a pandas DataFrame; got str",)),
    "DDI with another ending": (lambda: ss.write_ddi(BOOK, "book.doc"), ("book.doc: extension '.doc' cannot be written; use .xml",)),
    "a survey to another ending": (
        lambda: ss.write_survey(SURVEY, "x.doc"),
        ("x.doc: extension '.doc' cannot be written; use .sav, .zsav,",),
    ),
    "coherence of one question": (
        lambda: ss.coherence(FRAME, SURVEY, questions=["taxes"]),
        ("simulated lacks column weight; it has age, gender, w,",),
    ),
    "a question added to no file": (
        lambda: ss.add_question("book.toml", "nowhere.sav", "vote"),
        ("codebook file 'book.toml' does not exist; check the path",),
    ),
    "a question where a trait is meant": (
        lambda: ss.simulate(SURVEY, ["vote"], questions="taxes", method="mrp"),
        ("backgrounds: 'vote' is a question", "by= of survey verbs", "declare it as a trait"),
    ),
    "a question that the codebook leaves out": (
        lambda: ss.survey_mean(SURVEY, questions="turnout"),
        ("questions", "no question 'turnout'", "if the file has it, add_question(codebook, path, 'turnout')"),
    ),
    "by a question that the codebook leaves out": (
        lambda: ss.survey_mean(SURVEY, by="turnout", questions="taxes"),
        ("by", "no trait 'turnout'", "if the file has it, add_question(codebook, path, 'turnout')"),
    ),
    "shares of one's own not yet read": (
        lambda: ss.evaluate(TRUTH[["question_id", "gender", "option_code", "share"]], TRUTH, codebook=BOOK),
        ("estimated lacks column source", "as_distributions(frame, codebook"),
    ),
    "a card of shares of one's own not yet read": (
        lambda: ss.scorecard(TRUTH[["question_id", "gender", "option_code", "share"]], TRUTH, codebook=BOOK),
        ("simulated lacks columns background_id", "as_distributions(frame, codebook"),
    ),
    "a survey as the truth of a card": (
        lambda: ss.scorecard(SIMULATED, REST, codebook=BOOK),  # type: ignore[arg-type]
        ("truth must be a pandas DataFrame", "got Survey", "response_distributions(survey"),
    ),
    "card and truth exchanged": (
        lambda: ss.scorecard(TRUTH, SIMULATED, codebook=BOOK),
        ("truth is simulated and simulated is a survey's", "second", "simulated=False"),
    ),
    "estimate and reference exchanged": (
        lambda: ss.evaluate(TRUTH, SIMULATED, codebook=BOOK),
        ("reference is simulated and estimated is a survey's", "second", "simulated=False"),
    ),
    "a function as the method": (
        lambda: ss.simulate(SURVEY, ["gender"], questions="taxes", method=lambda *_: 0.5),  # type: ignore[arg-type]
        ("method", "is unknown", "of your own", "as_distributions"),
    ),
    # arguments that a verb does not take, or of another kind
    "question for questions": (
        lambda: ss.survey_mean(SURVEY, question="taxes"),
        ("survey_mean()", "'question'", "did you mean 'questions'"),
    ),
    "a weight where the survey has one": (
        lambda: ss.survey_mean(SURVEY, questions="taxes", weights="w"),
        ("'weights'", "a survey brings its weight", "read_survey(path, weight=...)"),
    ),
    "n for n_train": (lambda: ss.hold_out_respondents(SURVEY, n=100, seed=0), ("'n'", "did you mean 'n_train'")),
    "a question without its name": (
        lambda: ss.survey_mean(SURVEY, "taxes"),
        ("takes survey without a name", "name the others: questions="),
    ),
    "no seed": (lambda: ss.hold_out_respondents(SURVEY, n_train=100), ("hold_out_respondents() lacks an argument", "give seed=")),
    "a question as an attribute": (lambda: SURVEY.taxes, ("a Survey is no frame", "survey.data['taxes']", "survey.select('taxes')")),
    "a method of frames": (lambda: SURVEY.groupby("gender"), ("has no 'groupby'", "survey.data.groupby", "response_distributions")),
    "a number written as text": (lambda: ss.trim_weights(SURVEY, upper="5"), ("upper must be a number", "got str '5'", "default is inf")),
    "a list where one name belongs": (
        lambda: ss.survey_ratio(SURVEY, numerator=["taxes"], denominator="trust"),
        ("numerator must be text", "got list ['taxes']"),
    ),
    "half a respondent": (
        lambda: ss.observed_backgrounds(SURVEY, by="gender", min_n=0.5),
        ("min_n must be a whole number", "got float 0.5"),
    ),
    "a negative seed": (
        lambda: ss.simulate(TRAIN, ["gender"], method="mrp", seed=-1),
        ("seed must be a whole number, at least 0", "got int -1"),
    ),
    "a method's name as the estimator": (
        lambda: ss.cross_fit(SURVEY, "mrp", by="gender"),
        ("estimator must be a function of a survey", "lambda part: ss.simulate(part, backgrounds)", "got str 'mrp'"),
    ),
    "a table as the estimator": (
        lambda: ss.resampled_errors(SURVEY, SIMULATED, progress=False),
        ("estimator must be a function of a survey", "got DataFrame"),
    ),
    "a table in place of cross-fitting": (
        lambda: ss.conformal_intervals(SIMULATED),
        ("crossfit must be what cross_fit returns", "got DataFrame"),
    ),
    "means as a list": (
        lambda: ss.calibrate(SURVEY, means=["taxes"]),
        ("means must be a mapping of names to numbers", "got list ['taxes']"),
    ),
    "one option without a list": (
        lambda: ss.plot_distributions(RAW, question="taxes", options=1, draw=False),
        ("options must be a list of codes", "got int 1"),
    ),
    "weights as replicates": (lambda: ss.as_replicates(FRAME, method="JK1"), ("design must be a Survey or a Design", "got DataFrame")),
    "respondents drawn by text": (
        lambda: ss.compare_methods(SURVEY, by="gender", train_n="100", progress=False),
        ("train_n must be a whole number or a list of them", "got str '100'"),
    ),
    "as many of each level of no trait": (
        lambda: ss.compare_methods(SURVEY, by="gender", train_n=100, methods="raw", seeds=1, equal_by="agee", progress=False),
        ("equal_by: the survey has no trait 'agee'", "did you mean 'age'"),
    ),
    # verbs that are tried elsewhere too
    "variances left out": (lambda: ss.combine_syntheses([1.0, 1.2], [0.1]), ("variances",)),
    "predictions that are no table": (
        lambda: ss.prediction_powered(SURVEY, "mrp", population=PEOPLE),
        ("simulated", "got str"),
    ),
    "a summary of a frame's weights": (lambda: ss.weight_summary(FRAME), ("survey must be a Survey", "as_survey(frame, codebook)")),
    "sensitivity of a question misspelt": (
        lambda: ss.prompt_sensitivity(SURVEY, ["gender"], questions="taxs", method="zero-shot", progress=False),
        ("questions", "'taxs'", "did you mean 'taxes'"),
    ),
    "a model of text for the hub": (lambda: ss.push_to_hub("model", "me/model", survey=SURVEY), ("model", "got str")),
    # models
    "a model that is not there": (lambda: ss.load_model("smollm2-135n"), ("'smollm2-135n'", "smollm2-135m")),
    "aligned with no model": (lambda: ss.align("smollm2-135m", RAW, BOOK), ("model", "load_model")),  # type: ignore[arg-type]
    "a stage's loss misspelt": (lambda: ss.StageConfig(loss="option_kll"), ("loss", "'option_kll'", "option_kl")),
    "a template without a background": (lambda: ss.PromptTemplate(respondent="My answer:"), ("background",)),
}


@pytest.mark.parametrize(("call", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_remedy(
    call: Callable[[], object], said: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ss.SurveySimError) as refused:
        call()
    assert [part for part in said if part not in str(refused.value)] == [], str(refused.value)
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_there_are_mistakes_over_all_kinds_of_verbs() -> None:
    assert len(MISTAKES) >= 80


# what lists, asks nothing, or is no verb
UNTRIED = {
    *("BASELINES", "Codebook", "CrossFit", "DSA", "Design", "LOSSES", "METRICS", "MODEL_SIZES", "Option", "OptionModel", "Question"),
    *("SamplePlan", "Survey", "SurveySimError", "Trait", "__version__", "is_main", "list_codebooks", "list_examples", "list_official"),
    "list_populations",
}


def test_every_public_verb_has_a_mistake() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    untried = {name for name in ss.__all__ if f"ss.{name}(" not in text}
    assert untried - UNTRIED == set(), "give each new verb a mistake of its own"
