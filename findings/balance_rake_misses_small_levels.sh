#!/usr/bin/env bash
# balance 0.23.0: adjust(method="rake") does not meet the target of small levels: its default transformations lump levels of less than 5%
# first, also of a variable that has few levels, and within the lump the sample's proportions stay. poststratify and cbps do the same.
# Guess from memory: raking meets the margins that it is given.
# Seen: a level of 4.3% in the target gets 1.5%, one of .9% gets 2.5%; with transformations=None they get 4.3 and .9%.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q balance==0.23.0 'setuptools<81'
cat > "$place/seen.py" <<'P'
import logging

import numpy as np
import pandas as pd
from balance import Sample

logging.disable(logging.CRITICAL)
draw = np.random.default_rng(200)


def people(n, shares):
    region, sex = draw.choice(list("abcdefgh"), n, p=shares), draw.choice(["f", "m"], n)
    return pd.DataFrame({"id": np.arange(n).astype(str), "region": region, "sex": sex})


asked = people(1000, [0.35, 0.3, 0.21, 0.03, 0.03, 0.03, 0.03, 0.02])
target = people(5000, [0.3, 0.3, 0.2, 0.08, 0.01, 0.06, 0.01, 0.04])
wanted = target["region"].value_counts(normalize=True).sort_index()
misses = {}
for transformations in ("default", None):
    raked = Sample.from_frame(asked).set_target(Sample.from_frame(target)).adjust(method="rake", transformations=transformations).df
    weight = pd.to_numeric(raked["weight"])
    got = weight.groupby(raked["region"]).sum() / weight.sum()
    misses[transformations] = float((got - wanted).abs().max())
    print(transformations, pd.DataFrame({"target": wanted, "raked": got}).round(3).T, sep="\n")
assert misses["default"] > 0.015 and misses[None] < 0.001
P
"$place/venv/bin/python" "$place/seen.py"
echo "as stated: balance 0.23.0 rakes small levels past their targets unless transformations=None"
