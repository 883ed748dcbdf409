"""Surveys made up for the tests: no respondent is real."""

from __future__ import annotations

import numpy as np
import pandas as pd

import surveysim as ss
from surveysim.codebook.codebook import DesignVariables, Level, Option, Question, Trait, Weight

LEVELS = {"age": ("young", "old"), "gender": ("female", "male"), "region": ("north", "south", "west")}


def small_codebook(*, design: bool = False, weight_of_q2: str | None = None) -> ss.Codebook:
    """Return a codebook with an ordinal question `q1` (0-3), a nominal `q2` ("yes"/"no") and three traits."""
    missing = {7: "refused", 8: "dont_know"}
    amounts = tuple(Option(code, label) for code, label in enumerate(["none", "little", "some", "much"]))
    either = (Option("yes", "Yes"), Option("no", "No"))
    questions = {
        "q1": Question("q1", "How much?", amounts, missing=missing),
        "q2": Question("q2", "Yes or no?", either, type="nominal", missing={"dk": "dont_know"}, weight=weight_of_q2),
    }
    traits = {
        name: Trait(name, name, tuple(Level(level, level, (place,)) for place, level in enumerate(levels)))
        for name, levels in LEVELS.items()
    }
    variables = DesignVariables(stratum="layer", psu="cluster") if design else DesignVariables()
    return ss.Codebook("small", "A small survey", traits, questions, weights=(Weight("w"), Weight("w2")), design=variables)


def small_frame(seed: int = 0, n: int = 400) -> pd.DataFrame:
    """Return respondents for `small_codebook`: weights, 4 strata of 5 PSUs, traits, answers that depend on them, missing codes."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({name: generator.integers(0, len(levels), n) for name, levels in LEVELS.items()})
    frame["w"], frame["w2"] = generator.gamma(3, 0.4, n) + 0.2, generator.gamma(3, 0.4, n) + 0.2
    frame["layer"] = np.arange(n) % 4
    frame["cluster"] = np.where(np.arange(n) < 20, np.arange(n) // 4, generator.integers(0, 5, n))
    slope = 0.4 * frame["age"] + 0.2 * frame["gender"] - 0.1 * frame["cluster"]
    frame["q1"] = np.clip(np.round(1.2 + slope + generator.normal(0, 1, n)), 0, 3)
    frame.loc[generator.random(n) < 0.1, "q1"] = 8
    frame.loc[generator.random(n) < 0.05, "q1"] = 7
    frame["q2"] = np.where(generator.random(n) < 0.3 + 0.2 * frame["gender"], "yes", "no")
    frame.loc[generator.random(n) < 0.05, "q2"] = "dk"
    return frame


def small_survey(seed: int = 0, n: int = 400, *, design: bool = False, weight_of_q2: str | None = None) -> ss.Survey:
    """Return `small_frame` read with `small_codebook`."""
    return ss.as_survey(small_frame(seed, n), small_codebook(design=design, weight_of_q2=weight_of_q2))
