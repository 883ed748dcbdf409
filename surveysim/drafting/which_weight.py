"""Which variables are weights, and which is the default: the file's own, then a known survey's, then words in many languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.codebook.missing_labels import plain_text
from surveysim.drafting.variables import DraftVariable

# Of a known survey the default first, as its own documentation says. A variable that stands on a later line, or on none, comes after.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ESS": (r"pspwght|dweight|anweight", ("anweight", "pspwght", "dweight", "pweight")),
    "WVS": (r"w_weight|s017|b_country_alpha", ("w_weight", "s017", "s018", "pwght")),
    "GSS": (r"wtssps|wtssall|wtssnr|wtss", ("wtssnrps", "wtssps", "wtssnr", "wtssall", "wtss")),
    "ANES": (
        r"v\d{6}[ab]?|weight_full|weight_web|weight_ftf",
        ("v200010b", "v240107b", "weight_full", "v200010a", "weight_web", "weight_ftf"),
    ),
    "CGSS": (r"weight_raking", ("weight_raking", "weight")),
    "CFPS": (r"rswt_.*", ("rswt_nat.*n", "rswt_nat.*", "rswt_.*")),
    "Afrobarometer": (r"withinwt.*|combinwt.*|acrosswt.*", ("withinwt", "withinwt_ea", "withinwt_hh", "combinwt.*", "acrosswt.*")),
    "Eurobarometer": (r"w1|w22|w23|wextra|tnscntry", ("w1", "w22", "w23", "w.*", "wextra")),
    "Pew": (r"weight_w\d+.*|qkey", ("weight_w\\d+", "weight_w\\d+.*", "weight")),
    "ISSP": (r"c_alphan", ("weight",)),
    "CSES": (r"[a-f]10(10|11|12)(_.*)?", ("[a-f]1010_1", "[a-f]1010_2", "[a-f]1010.*", "[a-f]1011.*", "[a-f]1012.*")),
}
_ONE_COUNTRY_ESS = ("pspwght", "anweight", "dweight", "pweight")
_NAME = re.compile(
    r"^(rep|brr|jk|boot)\D*\d+$|weight|wght|wgt|ponder|(^|_)wts?($|_|\d)|^wt[a-z]{0,6}\d|^wts|^wtss|wt$|^w_|peso$|^pesos?(_|$)|gewicht|^poids|^waga|^wagi|"
    r"agirlik|^gew($|_)|vekt"
    r"|^factor(_?exp\w*)?$|^fexp|^facexp|expansion|^wate|^rswt|^pwgt|^pwt|权重|加权|ウェイト|가중|^вес$|^ves$"
)
_LABEL = re.compile(
    "|".join(
        plain_text(word)
        for word in (
            r"\bweight(s|ed|ing)?\b", r"\bwgt\b", r"\bpondera", r"\bponderat", r"factor(es)? de (expan|pond)",
            r"facteurs? de (pond|redress)", r"coefficient de",
            r"redressement", r"\bpeso (de la |da |di |del )?(muestra|muestr|amostr|campion|expan|estadist|final|post)", r"gewicht",
            r"\bpoids\b", r"\bwaga\b", r"\bwagi\b",
            r"важ", r"\bвес\b", r"взвеш", r"весов", r"agirlik", "الوزن", "وزن", "ترجيح", "权重", "加权", "ウェイト", "ウエイト",
            "重み", "가중", r"\bvekt", r"fattore di", r"\bpesi\b",
            r"expansion factor", r"wegingsfactor", r"weegfactor",
        )
    )
)  # fmt: skip
_NO_WEIGHT = re.compile(
    "|".join(
        plain_text(word)
        for word in (
            r"\b(kg|kgs|kilos?|kilogram\w*|pounds?|lbs?|stones?|body|bodyw\w*|birth|overweight|underweight|obes\w*|diet|height|"
            r"lose|lost|bmi)\b",
            r"corpor", r"korper",
            r"lichaam", r"\bciala\b", "кг", "тела", "体重", "體重", "체중", "몸무게", "وزن الجسم", r"\bvucut\b",
            r"how much do you weigh", r"\bat birth\b", r"\bcarries\b",
        )
    )
)  # fmt: skip
_SURVEY = re.compile(
    r"sampl|survey|design|post|strat|calib|rak|final|popul|nation|analys|pond|muestr|echantillon|stichprob|amostr|campion|权|加权|"
    r"normali|within|cross"
)
_ONLY_PART = re.compile(
    r"\b(ftf|face to face|web|subsample|sub-sample|half|split|panel|supplement|module|self-completion|drop-?off|replicate|rep)\b"
)
_REPLICATE = re.compile(r"^(?P<stem>\D*?(?:rep|brr|jk|boot|wgt|wt|weight|fay|bs)\D*?)(?P<number>\d+)$")
_MANY_REPLICATES = 15
_SPARSE = 0.05  # share without a weight, from which a draft says so and prefers a fuller one


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a draft, the default first.

    Attributes
    ----------
    found : tuple of (DraftVariable, remark)
        A remark is for a comment in the draft, or empty.
    replicates : str
        A pattern of replicate weights (``repwt*``), empty where there are none.
    """

    found: tuple[tuple[DraftVariable, str], ...]
    replicates: str = ""


def weights_of(drafts: Sequence[DraftVariable], declared: str) -> Weights:
    """Return what looks like a weight, the default first: declared by the file, full, first by its survey's rule, general before partial.

    Parameters
    ----------
    drafts : sequence of DraftVariable
    declared : str
        The variable by which the file says that it is weighted, or empty.
    """
    found = [draft for draft in drafts if _is_weight(draft) or (draft.name == declared and _is_numeric(draft))]
    replicates = _replicate_stem(found)
    kept = [draft for draft in found if not (replicates and _stem_of(draft) == replicates)]
    family, order = _family(drafts)
    kept.sort(key=lambda draft: _rank(draft, declared, order))
    remarks = [_remark(draft, declared, family if order and _place(draft, order) < len(order) else "") for draft in kept]
    return Weights(tuple(zip(kept, remarks, strict=True)), f"{replicates}*" if replicates else "")


def _rank(draft: DraftVariable, declared: str, order: Sequence[str]) -> tuple[bool | int, ...]:
    sparse, partial = _without(draft) > _SPARSE, bool(_ONLY_PART.search(draft.said))
    return (draft.name != declared, sparse, _place(draft, order), partial, _is_doubtful(draft))


def _is_weight(draft: DraftVariable) -> bool:
    if draft.options or draft.is_text:
        return False
    named = _NAME.search(plain_text(draft.name)) or _LABEL.search(draft.said)
    return bool(named) and not _NO_WEIGHT.search(draft.said) and _is_numeric(draft)


def _is_numeric(draft: DraftVariable) -> bool:
    """Say whether the values can be weights: numbers, none negative, more than one of them."""
    numbers = draft.numbers[~np.isnan(draft.numbers)]
    return draft.n_distinct > 1 and len(numbers) > 0 and bool((numbers >= 0).all()) and not draft.has_words


def _is_doubtful(draft: DraftVariable) -> bool:
    """Say whether a weight looks like a body's: values as in kilograms or pounds, and no word of a survey."""
    numbers = draft.numbers[~np.isnan(draft.numbers)]
    return 35 < float(numbers.mean()) < 250 and float(numbers.std()) < 0.4 * float(numbers.mean()) and not _SURVEY.search(draft.said)


def _without(draft: DraftVariable) -> float:
    return float((~(draft.numbers > 0)).mean())


def _family(drafts: Sequence[DraftVariable]) -> tuple[str, tuple[str, ...]]:
    """Return the known survey whose variables these are, and the order of its weights."""
    names = [draft.name.casefold() for draft in drafts]
    for family, (signature, order) in FAMILIES.items():
        if any(re.fullmatch(signature, name) for name in names):
            country = next((draft for draft in drafts if draft.name.casefold() == "cntry"), None)
            one = family == "ESS" and country is not None and country.n_distinct == 1
            return family, _ONE_COUNTRY_ESS if one else order
    return "", ()


def _place(draft: DraftVariable, order: Sequence[str]) -> int:
    return next((place for place, pattern in enumerate(order) if re.fullmatch(pattern, draft.name.casefold())), len(order))


def _remark(draft: DraftVariable, declared: str, family: str) -> str:
    said = []
    if draft.name == declared:
        said.append("the file itself declares this weight")
    elif family:
        said.append(f"ordered as {family} documents its weights")
    empty, zero = int(np.isnan(draft.numbers).sum()), int((draft.numbers == 0).sum())
    if empty or zero:
        said.append(f"{empty:,} of {len(draft.numbers):,} respondents have none, and {zero:,} have 0: it may be of a part of the sample")
    elif _ONLY_PART.search(draft.said):
        said.append("it may be of a part of the sample")
    if _is_doubtful(draft):
        said.append("it may be a body's weight")
    return "; ".join(said)


def _stem_of(draft: DraftVariable) -> str:
    match = _REPLICATE.match(draft.name)
    return match["stem"] if match else ""


def _replicate_stem(found: Sequence[DraftVariable]) -> str:
    stems = [stem for stem in map(_stem_of, found) if stem]
    most = max(set(stems), key=stems.count, default="")
    return most if stems.count(most) >= _MANY_REPLICATES else ""
