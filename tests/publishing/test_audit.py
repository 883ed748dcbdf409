"""What tables give away together is found before they are out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from tests.publishing.test_disclosure import cube, table, withheld

FINE = table({"age=old|race=A": 36, "age=young|race=A": 4, "age=old|race=B": 40, "age=young|race=B": 50})
COARSE = table({"race=A": 40, "race=B": 90})


def bounds(*tables: pd.DataFrame) -> dict[str, tuple[float, float]]:
    found = ss.audit_disclosure(tables)
    return {row.background_id: (row.n_low, row.n_high) for row in found.itertuples()}


def test_two_tables_protected_each_for_itself_betray_a_cell() -> None:
    apart = [ss.protect(FINE), ss.protect(COARSE)]
    found = ss.audit_disclosure(apart)
    assert found.columns.tolist() == ["question_id", "source", "background_id", "suppressed", "n_low", "n_high", "exposed"]
    assert found[["background_id", "n_low", "n_high", "exposed"]].values.tolist() == [["age=young|race=A", 4, 4, True]]
    together = [apart[0], ss.protect(COARSE, published=apart[0])]
    assert not ss.audit_disclosure(together)["exposed"].any()
    assert bounds(*together) == {"age=young|race=A": (1, 9), "race=A": (37, 45)}
    assert bounds(ss.protect(pd.concat([FINE, COARSE]))) == {"age=old|race=A": (31, 39), "age=young|race=A": (1, 9)}


def test_what_one_table_withholds_another_may_tell() -> None:
    cells = ss.protect(table({"age=a": 9, "age=b": 20, "age=c": 31, "all": 60}))
    assert bounds(cells) == {"age=a": (1, 9), "age=b": (20, 28)}
    assert bounds(cells, table({"age=b": 20})) == {"age=a": (9, 9), "age=b": (20, 20)}


def test_reasons_tell_and_are_kept_from_telling() -> None:
    """Two cells of fewer than 10 whose sum is 18 have 9 each, whatever the sums alone leave open."""
    sizes = {"age=a": 9, "age=b": 9, "age=c": 40, "age=d": 50, "all": 108}
    naive = table(sizes).assign(suppressed="")
    small = naive["background_id"].isin(["age=a", "age=b"])
    naive.loc[small, "suppressed"], naive.loc[small, ["share", "n", "n_eff"]] = "fewer than 10 respondents", np.nan
    assert bounds(naive) == {"age=a": (9, 9), "age=b": (9, 9)}
    shown = ss.protect(table(sizes))
    assert withheld(shown) == ["age=a", "age=b", "age=c"]
    assert not ss.audit_disclosure(shown)["exposed"].any()
    alone = ss.protect(table({"all": 4, "age=a": 1, "age=b": 1, "age=c": 1, "age=d": 1}), min_n=5, min_n_eff=0, dominance=1)
    assert not ss.audit_disclosure(alone)["exposed"].any(), "4 parts of a whole that is at most 4 would be 1 each"
    assert "withheld; how few would tell them" in set(alone["suppressed"])


@pytest.mark.parametrize("seed", range(200, 215))
def test_no_program_settles_a_cell_of_a_protected_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = cube(rng.integers(0, 25, (2, 3, 2)))
    shown = ss.protect(table(sizes))
    found = ss.audit_disclosure(shown)
    assert not found["exposed"].any()
    true = found["background_id"].map(sizes)
    assert ((found["n_low"] <= true) & (true <= found["n_high"])).all()
    fine = {name: n for name, n in sizes.items() if name.count("|") == 2}
    first = ss.protect(table(fine))
    second = ss.protect(table({name: n for name, n in sizes.items() if name not in fine}), published=first)
    both = ss.audit_disclosure([first, second])
    kept = both["background_id"].map(sizes).lt(10) | both["background_id"].isin(withheld(first))
    assert kept.sum() >= len(withheld(first))
    assert not both.loc[kept, "exposed"].any()


def test_rounded_tables_have_bounds_too() -> None:
    cells = ss.protect(table({"age=a": 1, "age=b": 38, "age=c": 0, "all": 39}), how="round", min_n=10)
    assert bounds(cells) == {"age=a": (0, 5)}
    assert ss.audit_disclosure(FINE).empty


def test_exports_record_the_audit_and_write_nothing_that_it_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = pd.concat([FINE, COARSE])
    path = ss.export_table(both, tmp_path / "shares.csv")
    facts = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    assert facts["disclosure"]["audit"] == {"withheld": 2, "fewest_numbers_left": 9}
    leaky = ss.protect(FINE).assign(n=lambda rows: rows["n"])
    broken = pd.concat([leaky, COARSE.assign(suppressed="")])
    broken.attrs = {"disclosure": {**leaky.attrs["disclosure"]}}
    with pytest.raises(TableError, match=r"q / age=young\|race=A follow from what is told; raise min_n or join levels"):
        ss.export_table(broken, tmp_path / "broken.csv")
    assert {item.name for item in tmp_path.iterdir()} == {"shares.csv", "shares.csv.json"}
    nobody = ss.export_table(COARSE, tmp_path / "coarse.parquet")
    assert pd.read_parquet(nobody).attrs["disclosure"]["audit"] == {"withheld": 0, "fewest_numbers_left": None}


BROKEN: list[tuple[Callable[[], object], str]] = [
    (lambda: ss.audit_disclosure([]), "tables holds no table"),
    (lambda: ss.audit_disclosure(3), "tables must be a table or a list of tables; got int"),  # type: ignore[arg-type]
    (lambda: ss.audit_disclosure({"first": FINE.drop(columns="n")}), "first lacks column n"),
    (lambda: ss.audit_disclosure([FINE, "x"]), "table 1 must be a pandas DataFrame"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("broken", "says"), BROKEN, ids=[says[:30] for _, says in BROKEN])
def test_what_is_no_table_says_so(broken: Callable[[], object], says: str) -> None:
    with pytest.raises(TableError, match=says):
        broken()
