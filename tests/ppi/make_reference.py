"""Numbers of the package ppi-python (0.2.3), for tests/inference/test_prediction_power.py: ``pip install ppi-python``, then run this file.

The sample is simple random and unweighted, as that package has it; the predictions of the unlabelled people are one of six
values, since ours are values of cells. The tests read the sample from the file written here.
"""

import json
from pathlib import Path

import numpy as np
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

CELLS = np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.9])
PEOPLE = np.array([900, 1500, 600, 1200, 500, 300])

generator = np.random.default_rng(20)
cell = generator.choice(6, size=240, p=[0.1, 0.2, 0.2, 0.2, 0.2, 0.1])
answer = (generator.random(240) < CELLS[cell] ** 1.3).astype(float)
labelled, unlabelled = CELLS[cell], np.repeat(CELLS, PEOPLE)

out = {"cell": cell.tolist(), "answer": answer.astype(int).tolist(), "values": CELLS.tolist(), "people": PEOPLE.tolist(), "results": {}}
for power in (0.0, 0.5, 1.0, None):
    low, high = ppi_mean_ci(answer, labelled, unlabelled, alpha=0.05, lam=power)
    out["results"][str(power)] = {
        "estimate": float(np.squeeze(ppi_mean_pointestimate(answer, labelled, unlabelled, lam=power))),
        "conf_low": float(np.squeeze(low)),
        "conf_high": float(np.squeeze(high)),
    }
Path(__file__).with_name("reference.json").write_text(json.dumps(out, indent=1) + "\n")
