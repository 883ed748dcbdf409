#!/usr/bin/env bash
# weightipy 0.4.2: a target share for a level that no row has is dropped without a warning, and the other shares grow.
# Guess from memory: raking to a margin with an empty level is refused, or warns.
# Seen: targets of 50, 30 and 20% with nobody in the third level give 62.5 and 37.5%.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q weightipy==0.4.2 'setuptools<81'
cat > "$place/seen.py" <<'P'
import warnings

import pandas as pd
import weightipy

warnings.simplefilter("error", UserWarning)
frame = pd.DataFrame({"age": [1] * 60 + [2] * 40, "sex": [1, 2] * 50})
made = weightipy.weight_dataframe(frame, weightipy.scheme_from_dict({"age": {1: 50.0, 2: 30.0, 3: 20.0}}), "w")
shares = made.groupby("age")["w"].sum() / made["w"].sum()
print(shares)
assert shares.round(6).tolist() == [0.625, 0.375]
P
"$place/venv/bin/python" "$place/seen.py"
echo "as stated: weightipy 0.4.2 drops a target that nobody is in"
