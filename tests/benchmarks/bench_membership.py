"""What a model gives away of a respondent who is alone in his cell: the share of his own answer, learnt with him and without him.

Run: python tests/benchmarks/bench_membership.py [--seeds 20]. Each seed draws 200 respondents of the shipped survey; up to five of those
alone in their cell of race, education and age are left out in turn, all else the same. Draws are from seed 200 on.
"""

from __future__ import annotations

import argparse
import warnings

import pandas as pd

import surveysim as ss

QUESTION, BY = "Q8_8", ["race", "education", "age3"]
RESPONDENTS, PER_DRAW, FIRST_SEED = 200, 5, 200


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seeds", type=int, default=20)
    seeds = given.parse_args().seeds
    warnings.simplefilter("ignore")
    survey, model = ss.load_example("nonvoters2020"), ss.load_model(device="cpu")
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        few, _ = ss.hold_out_respondents(survey, n_train=RESPONDENTS, seed=seed)
        cells = ss.response_distributions(few, by=BY, questions=QUESTION)
        for alone in cells[(cells["n"] == 1) & (cells["share"] == 1)].head(PER_DRAW).itertuples():
            background = ss.split_background(cells[cells["background_id"] == alone.background_id]).iloc[:1][BY]
            share = {}
            for name, train in (("without", cells[cells["background_id"] != alone.background_id]), ("with", cells)):
                fitted = ss.align(model, train, survey.codebook, seed=0, progress=False)
                told = ss.simulate(few, background, model=fitted, questions=QUESTION, progress=False)
                share[name] = told.loc[told["option_code"] == alone.option_code, "share"].iloc[0]
            rows.append({"seed": seed, "background": alone.background_id, **share})
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    print((table["with"] - table["without"]).describe().round(3).to_string())


if __name__ == "__main__":
    main()
