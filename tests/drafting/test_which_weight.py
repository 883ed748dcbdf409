"""Weights are found by names and labels in many languages, the file's own first, and none that is a body's or of a part of the sample."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.support.labelled import drafted, labelled_file

VALUES = np.linspace(0.4, 2.1, 100)
WEIGHTS = [
    ("PONDERADOR", "Factor de ponderación"),
    ("Factor", "Factor de expansión"),
    ("pondera", ""),
    ("wt", "Peso de la muestra"),
    ("withinwt_ea", "Facteur de pondération nationale"),
    ("v9", "Coefficient de redressement"),
    ("wt", "가중치"),
    ("wt", ""),
    ("WTINT2YR", ""),
    ("gewicht", "Gewichtungsfaktor"),
    ("v9", "Gewicht (Stichprobe)"),
    ("weging", "Weegfactor"),
    ("v9", "Ponderador amostral"),
    ("v9", "Fattore di ponderazione"),
    ("waga", "Waga poststratyfikacyjna"),
    ("v9", "Весовой коэффициент"),
    ("v9", "Ağırlık"),
    ("v9", "الوزن"),
    ("v9", "权重"),
    ("v9", "ウェイト"),
    ("pweight", ""),
    ("finalwgt", "sampling weight"),
]
NO_WEIGHTS = [
    ("weight", "Body weight in kg"),
    ("v9", "How much do you weigh? (pounds)"),
    ("v9", "Weight at birth"),
    ("peso", "Peso corporal"),
    ("v9", "Körpergewicht"),
    ("v9", "体重"),
    ("v9", "Вес тела, кг"),
    ("height", "Height in cm"),
    ("hours", "Hours worked"),
]


@pytest.mark.parametrize(("name", "label"), WEIGHTS)
@pytest.mark.parametrize("whole", [False, True])
def test_weights_are_found_also_as_whole_numbers(name: str, label: str, *, whole: bool, tmp_path: Path) -> None:
    values = np.arange(1000, 1100) if whole else VALUES
    book, _ = drafted(labelled_file(tmp_path / "x.dta", {name: values}, {name: label}))
    assert [weight.variable for weight in book.weights] == [name]


@pytest.mark.parametrize(("name", "label"), NO_WEIGHTS)
def test_what_is_no_weight_is_none(name: str, label: str, tmp_path: Path) -> None:
    book, _ = drafted(labelled_file(tmp_path / "x.sav", {name: VALUES}, {name: label}))
    assert book.weights == ()


def test_the_files_own_weight_is_the_default(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "x.sav", {"wt_a": VALUES, "obscure_name": VALUES}, {"wt_a": "Design weight"})
    content = bytearray(path.read_bytes())
    content[76:80] = struct.pack("<i", 2)
    path.write_bytes(content)
    book, text = drafted(path)
    assert [weight.variable for weight in book.weights] == ["obscure_name", "wt_a"]
    assert "# the file itself declares this weight\n[weights.obscure_name]" in text


FAMILIES = {
    "ESS, several countries": (["dweight", "pspwght", "pweight", "anweight"], "anweight"),
    "ESS, one country": (["dweight", "pweight", "anweight", "pspwght"], "pspwght"),
    "GSS": (["wtss", "wtssall", "wtssps"], "wtssps"),
    "ANES": (["weight_ftf", "weight_web", "weight_full"], "weight_full"),
    "WVS": (["S018", "W_WEIGHT", "PWGHT"], "W_WEIGHT"),
    "CGSS": (["weight", "weight_raking"], "weight_raking"),
    "CFPS": (["rswt_res", "rswt_nat18n"], "rswt_nat18n"),
    "Afrobarometer": (["Combinwt_new_hh", "withinwt_hh", "withinwt_ea"], "withinwt_ea"),
    "Eurobarometer": (["w22", "w1", "wextra"], "w1"),
    "Pew": (["weight_w92_x", "weight_w92"], "weight_w92"),
    "CSES": (["F1011_1", "F1010_1"], "F1010_1"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_known_surveys_rule_orders_its_weights(family: str, tmp_path: Path) -> None:
    names, first = FAMILIES[family]
    columns: dict[str, object] = {name: VALUES + place / 100 for place, name in enumerate(names)}
    if family.startswith("ESS"):
        columns["cntry"] = ["NO"] * 100 if "one" in family else ["NO", "SE"] * 50
    if family == "Eurobarometer":
        columns["tnscntry"] = [1.0, 2.0] * 50
    labels = dict.fromkeys(names, "Weight")
    book, text = drafted(labelled_file(tmp_path / "x.sav", columns, labels))
    assert book.weights[0].variable == first
    assert f"ordered as {family.split(',')[0]} documents its weights" in text


def test_a_weight_of_a_part_of_the_sample_comes_after_a_full_one_and_says_so(tmp_path: Path) -> None:
    part = np.where(np.arange(100) < 40, 0.0, VALUES)
    half = np.where(np.arange(100) < 50, np.nan, VALUES)
    book, text = drafted(labelled_file(tmp_path / "x.sav", {"wt_a": part, "wt_b": half, "wt_c": VALUES}))
    assert [weight.variable for weight in book.weights] == ["wt_c", "wt_a", "wt_b"]
    assert "# 0 of 100 respondents have none, and 40 have 0: it may be of a part of the sample\n[weights.wt_a]" in text
    assert "# 50 of 100 respondents have none, and 0 have 0: it may be of a part of the sample\n[weights.wt_b]" in text


def test_a_weight_that_may_be_a_bodys_is_last_and_says_so(tmp_path: Path) -> None:
    body = np.linspace(50, 95, 100)
    book, text = drafted(labelled_file(tmp_path / "x.sav", {"weight": body, "wt": VALUES}, {"weight": "Weight"}))
    assert [weight.variable for weight in book.weights] == ["wt", "weight"]
    assert "# it may be a body's weight\n[weights.weight]" in text


def test_replicate_weights_are_a_pattern_of_the_design(tmp_path: Path) -> None:
    columns = {"wt": VALUES, **{f"repwt{number}": VALUES * number for number in range(1, 21)}}
    book, text = drafted(labelled_file(tmp_path / "x.sav", columns))
    assert [weight.variable for weight in book.weights] == ["wt"]
    assert '# replicate_weights = "repwt*"' in text
