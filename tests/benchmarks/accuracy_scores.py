"""The scores of bench_accuracy in one small file: what is kept in the project, so that a run goes on where the last one stopped.

The file holds scores alone: no respondent and no share.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

FILE, NOTES = "scores.parquet", "comparisons.json"


def gather(results: Path, docs: Path) -> None:
    """Write the trials in the folder of results as `scores.parquet`, and what each comparison was made with as `comparisons.json`."""
    parts, notes = [], {}
    for note in sorted(results.rglob("comparison.json")):
        study = note.parent.relative_to(results).as_posix()
        notes[study] = json.loads(note.read_text(encoding="utf-8"))
        parts += [pd.read_parquet(path).assign(study=study, trial=path.stem) for path in sorted(note.parent.glob("*.parquet"))]
    if not parts:
        return
    scores = pd.concat(parts, ignore_index=True)
    scores["seconds"] = scores["seconds"].round(1)
    scores = scores.astype(
        dict.fromkeys(("study", "trial", "split", "method", "question_id", "background_id", "metric"), "category")
        | {"estimate": "float32", "seconds": "float32", "n_backgrounds": "int32"}
    )
    docs.mkdir(parents=True, exist_ok=True)
    scores.to_parquet(docs / ".partial.parquet", compression="zstd", compression_level=19, index=False)
    (docs / ".partial.parquet").replace(docs / FILE)
    (docs / ".partial.json").write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    (docs / ".partial.json").replace(docs / NOTES)


def restore(results: Path, docs: Path) -> int:
    """Put the trials of `scores.parquet` that the folder of results lacks back there; return how many they were."""
    if not (docs / FILE).is_file():
        return 0
    notes = json.loads((docs / NOTES).read_text(encoding="utf-8"))
    restored = 0
    for (study, trial), rows in pd.read_parquet(docs / FILE).groupby(["study", "trial"], observed=True, sort=False):
        folder = results / str(study)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "comparison.json").is_file():
            (folder / "comparison.json").write_text(json.dumps(notes[study], indent=1), encoding="utf-8")
        if (folder / f"{trial}.parquet").is_file():
            continue
        plain = rows.drop(columns=["study", "trial"])
        texts = dict.fromkeys(plain.columns[plain.dtypes == "category"], "object")
        plain.astype({**texts, "estimate": float, "seconds": float, "n_backgrounds": "int64"}).to_parquet(
            folder / f"{trial}.parquet", index=False
        )
        restored += 1
    return restored
