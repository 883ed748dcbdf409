"""Whether a prior ever costs: 50 fresh draws, priors good, middling and bad, from 1 respondent a cell to thousands.

`bench_prior.py DATA --check` runs it. Two settings. ESS: six countries of ESS 11 drawn anew x gender, five trust items, respondents
drawn with replacement in every cell, so that the cell's shares are the truth at any number; the prior is ESS 9 (good), that with the items'
names moved on by one (middling), or with the countries' names dealt anew (bad). Synthetic: six questions of three to eight options over
3 x 2 x 2 cells from known shares; the prior's contrasts are the truth's but for a drift (good), half the truth's (middling), or others
(bad), told with 100 respondents a cell, or as a table without n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from bench_simulators import KEYS, sampled, wasserstein

import surveysim as ss
from surveysim.codebook.backgrounds import background_id

EACH = (1, 5, 50, 2000)  # respondents a cell
SEEDS = range(210, 260)  # those from 200 on were looked at while the method was made
COUNTRIES = 6
BY = ["country", "gender"]
LEVELS = {"a": 3, "b": 2, "c": 2}
OPTIONS = (3, 4, 5, 5, 7, 8)
RESPONDENTS = 100  # a cell of a synthetic prior
KINDS = {"good": 0.95, "middling": 0.5, "bad": 0.0}  # correlation of a synthetic prior's contrasts with the truth's
GOAL = 1.02
Numbers = dict[str, dict[str, list[float]]]  # setting, what was estimated, its error in each draw
DealtAnew = Callable[[pd.DataFrame, int], pd.DataFrame]


def fitted(sample: pd.DataFrame, prior: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the estimate of every cell of a sample."""
    grid, questions = sample[["background_id"]].drop_duplicates(), list(sample["question_id"].unique())
    return ss.estimate_baseline(sample, grid, method="mrp", ordinal=questions, prior=prior)


def compared(truth: pd.DataFrame, priors: dict[str, pd.DataFrame], samples: dict[int, pd.DataFrame]) -> Iterator[tuple[str, float]]:
    """Return errors: of each prior as it is, and at each size without a prior and with each."""
    as_it_is = {kind: wasserstein(fitted(table) if table["n"].gt(0).any() else table, truth) for kind, table in priors.items()}
    for each, sample in samples.items():
        yield f"{each} without", wasserstein(fitted(sample), truth)
        for kind, table in priors.items():
            yield f"{each} {kind} as it is", as_it_is[kind]
            yield f"{each} {kind} moved", wasserstein(fitted(sample, table), truth)


def ess_draw(later: ss.Survey, earlier: ss.Survey, dealt_anew: DealtAnew, seed: int) -> dict[str, float]:
    """Return the errors of one draw of ESS."""
    rng = np.random.default_rng(seed)
    names = rng.choice(sorted(later.data["country"].unique()), COUNTRIES, replace=False)
    questions = list(later.questions)
    now, before = (
        survey.take((survey.data["country"].isin(names) & survey.data[questions].notna().all(axis=1)).to_numpy())
        for survey in (later, earlier)
    )
    truth, good = (ss.response_distributions(survey, by=BY, questions=questions) for survey in (now, before))
    following = dict(zip(questions, [*questions[1:], questions[0]], strict=True))
    priors = {"good": good, "middling": good.assign(question_id=good["question_id"].map(following)), "bad": dealt_anew(good, seed)}
    people = now.data[questions].assign(background_id=[background_id(row) for row in now.data[BY].to_dict("records")])
    samples = {}
    for each in EACH:
        drawn = people.groupby("background_id", observed=True).sample(each, replace=True, random_state=rng)
        samples[each] = _counted(truth, drawn, each)
    return dict(compared(truth, priors, samples))


def _complete(survey: ss.Survey, countries: np.ndarray, questions: list[str]) -> ss.Survey:
    """Return the respondents of some countries who answered every question."""
    rows = survey.data["country"].isin(countries) & survey.data[questions].notna().all(axis=1)
    return survey.take(rows.to_numpy())


def synthetic_draw(seed: int, *, states_n: bool) -> dict[str, float]:
    """Return the errors of one draw of known shares."""
    rng = np.random.default_rng(seed)
    truth, tables = _population(rng)
    if states_n:
        tables = {kind: sampled(table, RESPONDENTS, rng) for kind, table in tables.items()}
    return dict(compared(truth, tables, {each: sampled(truth, each, rng) for each in EACH}))


def _population(rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Known shares of every cell, and what priors of every kind say of them."""
    levels = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, LEVELS.values()), indexing="ij")], axis=1)
    ids = ["|".join(f"{name}={code}" for name, code in zip(LEVELS, row, strict=True)) for row in levels]
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in ("truth", *KINDS)}
    for place, options in enumerate(OPTIONS):
        level, own = rng.normal(0, 0.7, options), _differences(rng, levels, options)
        parts["truth"].append(_table(f"q{place}", ids, level + own))
        for kind, alike in KINDS.items():
            theirs = alike * own + np.sqrt(1 - alike**2) * _differences(rng, levels, options)
            parts[kind].append(_table(f"q{place}", ids, level + rng.normal(0, 0.3 * (1 - alike) + 0.05, options) + theirs))
    tables = {name: pd.concat(own, ignore_index=True) for name, own in parts.items()}
    return tables.pop("truth"), tables


def _differences(rng: np.random.Generator, levels: np.ndarray, options: int) -> np.ndarray:
    """Logits of cells: a tilt and something nominal of every trait, and what cells have beyond."""
    tilt = np.linspace(-1, 1, options)
    found = rng.normal(0, 0.1, (len(levels), options))
    for trait in range(levels.shape[1]):
        size = levels[:, trait].max() + 1
        found += (rng.normal(0, 0.4, (size, 1)) * tilt + rng.normal(0, 0.15, (size, options)))[levels[:, trait]]
    return found


def _table(question: str, ids: list[str], logits: np.ndarray) -> pd.DataFrame:
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    keys = pd.MultiIndex.from_product([ids, range(logits.shape[1])], names=["background_id", "option_code"]).to_frame(index=False)
    return keys.assign(question_id=question, option_order=keys["option_code"], share=shares.ravel(), n=0, n_eff=0.0, source="made")


def _counted(truth: pd.DataFrame, people: pd.DataFrame, each: int) -> pd.DataFrame:
    """Return the shares among drawn people, `each` in every cell, in the layout of a table."""
    long = people.melt(id_vars="background_id", var_name="question_id", value_name="option_code")
    counts = long.groupby(KEYS).size().rename("count").reset_index()
    found = truth.merge(counts, on=KEYS, how="left")
    return truth.assign(share=found["count"].fillna(0).to_numpy(float) / each, n=each, n_eff=float(each))


def check(later: ss.Survey, earlier: ss.Survey, dealt_anew: DealtAnew, seeds: Sequence[int] = SEEDS) -> Numbers:
    """Return the errors in every setting: a list of draws under what was estimated."""
    draws = []
    for seed in seeds:
        draws.append(
            {
                "ESS 9 for ESS 11": ess_draw(later, earlier, dealt_anew, seed),
                "synthetic, with n": synthetic_draw(seed, states_n=True),
                "synthetic, without n": synthetic_draw(seed, states_n=False),
            }
        )
        print(seed, flush=True)
    return {setting: {name: [round(draw[setting][name], 5) for draw in draws] for name in own} for setting, own in draws[0].items()}


def section(numbers: Numbers) -> list[str]:
    """Return the page's section."""
    draws = len(next(iter(next(iter(numbers.values())).values())))
    lines = [
        "## Whether a prior ever costs",
        "",
        f"{draws} fresh draws (seeds {SEEDS[0]} and above), from one respondent a cell to thousands; `mrp`. In each place the mean error "
        "of the prior moved, over whichever is smaller on average, that of the prior as it is or that of no prior. ESS: six countries "
        "drawn anew x gender, respondents drawn with replacement; ESS 9 itself (good), with each item's table under the next item's name "
        "(middling), with its countries' names dealt anew (bad). Synthetic: known shares, and priors whose contrasts correlate with them "
        f"by {KINDS['good']} (good), {KINDS['middling']} (middling) and {KINDS['bad']:.0f} (bad), told by {RESPONDENTS} respondents a cell "
        "or as a table without n.",
        "",
        "| setting | respondents a cell | " + " | ".join(KINDS) + " |",
        "|---|---:|" + "---:|" * len(KINDS),
    ]
    ratios = []
    for setting, own in numbers.items():
        for each in EACH:
            found = [_ratio(own, each, kind) for kind in KINDS]
            ratios += found
            lines.append(f"| {setting} | {each} | " + " | ".join(f"{ratio:.3f}" for ratio in found) + " |")
    return [
        *lines,
        "",
        f"Mean of these ratios {np.mean(ratios):.3f}, {sum(ratio <= GOAL for ratio in ratios)} of {len(ratios)} at most {GOAL}.",
    ]


def _ratio(own: dict[str, list[float]], each: int, kind: str) -> float:
    """Mean error of the prior moved over the smaller of those of the prior as it is and of none."""
    moved, as_it_is, without = (float(np.mean(own[f"{each} {name}"])) for name in (f"{kind} moved", f"{kind} as it is", "without"))
    return moved / min(as_it_is, without)
