"""What is learnt of segments as the levels of one trait: multilevel regression and the closed form, with and without the round before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from outside_data import OutsideData, one_trait, one_trait_book, own_traits, shared_questions

import surveysim as ss
from surveysim.baselines.knowledge import Knowledge
from surveysim.baselines.prior import Prior
from surveysim.evaluation.floor import marginal_for_all
from surveysim.lm.answers import answer_table, answers, predict
from surveysim.lm.kernel import all_answer_states, kernel_shares
from surveysim.lm.training import run_alignment
from surveysim.lm.unasked import unasked_shares
from surveysim.tables.cells import to_cells, to_table

STATED = 1000  # answers a cell, where a table states none
BEFORE = {"gd4": "gd3", "gd5": "gd4", "gd6": "gd5"}  # round -> the one before


class OneTrait:
    """A round whose segments are the levels of one trait; the language model reads every question and segment once."""

    def __init__(self, data: OutsideData, model: ss.OptionModel) -> None:
        self.book, self.model = one_trait_book(data.codebook), model
        self.name = model.backbone.name
        groups = one_trait(data.truth)["background_id"].unique()
        put = model.put(self.book, tuple(data.codebook.questions), groups)
        self.states, self.order = all_answer_states(model, put.tokenised), put.backgrounds

    def mrp(self, sample: pd.DataFrame, prior: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the estimate of multilevel regression over all segments at once."""
        rows = one_trait(sample)
        grid = rows[["background_id"]].drop_duplicates(ignore_index=True)
        before = None if prior is None else one_trait(prior)
        return own_traits(ss.estimate_baseline(rows, grid, method="mrp", ordinal=[], prior=before))

    def closed_form(self, sample: pd.DataFrame, prior: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the estimate of the closed form, whose covariances are also those of the language model's features."""
        rows = one_trait(sample)
        grid = rows[["background_id"]].drop_duplicates(ignore_index=True)
        known = Knowledge(prior=None if prior is None else Prior((one_trait(prior),), ("the round before",)))
        return own_traits(kernel_shares(rows, grid, self.states, self.order, self.book, knowledge=known))

    def aligned(self, sample: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the estimate of `dsa` itself, both stages, and that of its closed form, of the same sample."""
        rows = one_trait(sample)
        run = run_alignment(self.model, rows, self.book, backgrounds=self._grid(rows), seed=seed, progress=False)
        assert run.closed_form is not None
        table = answer_table(run.shares, run.put, to_cells(rows), source="dsa")
        return own_traits(table), own_traits(run.closed_form)

    def _grid(self, rows: pd.DataFrame) -> pd.DataFrame:
        levels = rows["background_id"].drop_duplicates().str.removeprefix("group=")
        return pd.DataFrame({"group": levels.to_numpy()})


def round_before(data: OutsideData, earlier: OutsideData) -> pd.DataFrame:
    """Return the earlier round's table of the questions that both have, under the later round's names; its `n` is its own."""
    names = {old: new for new, old in shared_questions(data.codebook, earlier.codebook).items()}
    kept = earlier.truth[earlier.truth["question_id"].isin(names)]
    made = kept.assign(question_id=kept["question_id"].map(names)).reset_index(drop=True)
    made.attrs = {}
    return made


def as_it_is(prior: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the earlier shares of the truth's cells; a segment that the earlier round lacks gets its question's mean over all others."""
    keys = ["question_id", "background_id", "option_code"]
    found = truth[[*keys, "option_order"]].merge(prior[[*keys, "share"]], on=keys, how="left")
    everybody = marginal_for_all(prior, weight="n").drop_duplicates(["question_id", "option_code"])
    mean = found[["question_id", "option_code"]].merge(everybody[["question_id", "option_code", "share"]], how="left")["share"]
    return truth.assign(share=found["share"].fillna(mean).to_numpy())


def ratio(scores: pd.DataFrame, source: str, against: str, metric: str) -> dict[str, float | str]:
    """Return the ratio of two sources' mean errors and its 95% interval, linearised over questions as a survey's ratio is."""
    kept = scores[(scores["metric"] == metric) & scores["source"].isin([source, against])]
    own, other = (
        ss.summarise_scores(kept[kept["source"] == name], by=["source", "question_id"]).set_index("question_id")["estimate"]
        for name in (source, against)
    )
    found = float(own.mean() / other.mean())
    left = (own - found * other).to_numpy()
    half = float(1.96 * left.std(ddof=1) / np.sqrt(len(left)) / other.mean())
    numbers = {"ratio": found, "low": found - half, "high": found + half}
    return {"source": source, "against": against, "metric": metric, **{name: round(value, 4) for name, value in numbers.items()}}


def as_asked(model: ss.OptionModel, truth: pd.DataFrame, book: ss.Codebook) -> pd.DataFrame:
    """Return what a model says of every cell, nothing learnt."""
    questions, groups = list(truth["question_id"].unique()), list(truth["background_id"].unique())
    shares = predict(model, book, questions, pd.DataFrame({"background_id": groups}), progress=False)
    rows = [
        {"question_id": name, "background_id": group, "option_code": code, "share": share}
        for name in questions
        for group, cell in zip(groups, shares[name], strict=True)
        for code, share in zip(book.question(name).codes, cell, strict=True)
    ]
    return ss.as_distributions(pd.DataFrame(rows), book, shares="share", source="zero-shot")


def question_folds(data: OutsideData, folds: int, seed: int) -> list[list[str]]:
    """Return so many folds of the questions, dealt at random."""
    return [list(fold) for fold in np.array_split(np.random.default_rng(seed).permutation(data.truth["question_id"].unique()), folds)]


def never_asked(model: ss.OptionModel, data: OutsideData, folds: Sequence[Sequence[str]], *, aligned: bool = False) -> pd.DataFrame:
    """Return what every fold of questions gets from the shares of all others: by the closed form over questions, or by aligning."""
    book, truth = one_trait_book(data.codebook), one_trait(data.truth).assign(n=STATED, n_eff=float(STATED))
    grid = truth[["background_id"]].drop_duplicates(ignore_index=True)
    parts = []
    for fold in folds:
        layout = to_cells(truth[truth["question_id"].isin(fold)], backgrounds=grid["background_id"])
        rest = truth[~truth["question_id"].isin(fold)].reset_index(drop=True)
        if aligned:
            taught = ss.align(model, rest, book, progress=False)
            put = taught.put(book, layout.questions, layout.backgrounds)
            parts.append(answer_table(answers(taught, put, progress=False), put, layout, source="dsa"))
        else:
            parts.append(to_table(layout, unasked_shares(model, rest, grid, layout, book), source="closed form over questions"))
    return own_traits(pd.concat(parts, ignore_index=True))


def distance_of_values(table: pd.DataFrame, truth: pd.DataFrame, values: Mapping[tuple[str, str], float]) -> pd.Series:
    """Return every question's mean distance as SubPOP's authors take it: between published scale values, over their range.

    Options on no scale (value -1) are left out and the others' shares scaled to 1.
    """
    keys = ["question_id", "background_id", "option_code"]
    both = truth[[*keys, "option_label"]].assign(human=truth["share"]).merge(table[[*keys, "share"]], on=keys)
    both["value"] = [values[key] for key in zip(both["question_id"], both["option_label"], strict=True)]
    both = both[both["value"] >= 0].sort_values([*keys[:2], "value"], kind="stable")
    cells = [both["question_id"], both["background_id"]]
    own = both[["human", "share"]] / both.groupby(keys[:2])[["human", "share"]].transform("sum")
    apart = (own["human"] - own["share"]).groupby(cells).cumsum().abs()
    step = both.groupby(keys[:2])["value"].shift(-1) - both["value"]
    span = both.groupby(keys[:2])["value"].transform("max") - both.groupby(keys[:2])["value"].transform("min")
    return (apart * step / span).groupby(cells).sum().groupby(level="question_id").mean()
