"""A made-up survey for tests of language models: six questions that depend on age and gender, answered by random respondents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight

TRAITS = ["age", "gender"]
_LEVELS = {
    "age": {"young": "aged 18 to 34", "middle": "aged 35 to 64", "old": "aged 65 or older"},
    "gender": {"female": "a woman", "male": "a man"},
}
_OPTIONS = {
    "taxes": ("ordinal", ["Lower", "The same", "Higher"]),
    "trust": ("ordinal", ["No trust at all", "Little trust", "Some trust", "Great trust"]),
    "vote": ("nominal", ["Yes", "No"]),
    "party": ("nominal", ["Red", "Blue", "Green", "None of these"]),
    "news": ("ordinal", ["Never", "Sometimes", "Often", "Always", "All day long"]),
    "join": ("nominal", ["Yes", "Perhaps", "No"]),
}


def opinion_codebook() -> ss.Codebook:
    """Return the codebook: questions `taxes trust vote party news join`, traits `age` and `gender`, weight `w`."""
    questions = {
        name: Question(name, f"What do you say about {name}?", tuple(Option(code, label) for code, label in enumerate(labels, 1)), kind)
        for name, (kind, labels) in _OPTIONS.items()
    }
    traits = {
        name: Trait(name, name, tuple(Level(level, text, (code,)) for code, (level, text) in enumerate(levels.items())))
        for name, levels in _LEVELS.items()
    }
    return ss.Codebook("opinions", "A made-up survey", traits, questions, year="2020", country="Nowhere", weights=(Weight("w"),))


def opinion_frame(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return respondents: old people choose higher options, men slightly so."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": draw.integers(0, 3, n), "gender": draw.integers(0, 2, n), "w": draw.gamma(3, 0.4, n) + 0.2})
    for place, (name, (_, labels)) in enumerate(_OPTIONS.items()):
        slope = 0.5 * (frame["age"] - 1) * (1 if place % 2 else -1) + 0.3 * frame["gender"]
        score = (len(labels) - 1) / 2 + slope + draw.normal(0, 0.9, n)
        frame[name] = np.clip(np.round(score), 0, len(labels) - 1).astype(int) + 1
    return frame


def opinion_survey(n: int = 300, seed: int = 0) -> ss.Survey:
    """Return `opinion_frame` read with `opinion_codebook`."""
    return ss.as_survey(opinion_frame(n, seed), opinion_codebook())


def opinion_sample(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return the weighted shares of `opinion_survey` by age and gender."""
    return ss.response_distributions(opinion_survey(n, seed), by=TRAITS)


def load_tiny(folder: Path, **options: object) -> ss.OptionModel:
    """Load a tiny model on the CPU in float32."""
    return ss.load_model(folder, **{"device": "cpu", "dtype": "float32", **options})
