"""Thirty survey families in small: names, labels, missing codes and weights as each family writes them, answers made up.

A layout is written down from the family's public documentation; no row of any release is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat

N = 80
Labels = Mapping[float, str]


@dataclass(frozen=True)
class Layout:
    """One family: its weight, gender and age, and its questions as variable -> (label, value labels, declared missing codes)."""

    weight: tuple[str, str]
    gender: tuple[str, str, Labels]
    age: tuple[str, str]
    questions: Mapping[str, tuple[str, Labels, tuple[float, ...]]]
    other_weights: Mapping[str, str] = field(default_factory=dict)


MF: Labels = {1: "Male", 2: "Female"}
AGREE: Labels = {1: "Agree strongly", 2: "Agree", 3: "Neither agree nor disagree", 4: "Disagree", 5: "Disagree strongly"}
SATISFIED: Labels = {1: "Very satisfied", 2: "Fairly satisfied", 3: "Not very satisfied", 4: "Not at all satisfied"}
YES_NO: Labels = {1: "Yes", 2: "No"}


def one(name: str, label: str, answers: Labels, missing: Labels | None = None, *, declared: bool = True) -> dict[str, Any]:
    """Return a question whose missing codes the file declares, or only labels."""
    lacking = missing or {}
    return {name: (label, {**answers, **lacking}, tuple(lacking) if declared else ())}


ESS_MISSING: Labels = {7: "Refusal", 8: "Don't know", 9: "No answer"}
WVS_MISSING: Labels = {-1: "Don't know", -2: "No answer", -4: "Not asked"}
CN: Labels = {1: "男", 2: "女"}

LAYOUTS: dict[str, Layout] = {
    "ESS": Layout(
        ("pspwght", "Post-stratification weight"),
        ("gndr", "Gender", MF),
        ("agea", "Age of respondent, calculated"),
        one("stflife", "How satisfied with life", SATISFIED, ESS_MISSING),
        {"dweight": "Design weight"},
    ),
    "WVS": Layout(
        ("W_WEIGHT", "Weight"),
        ("Q260", "Q260.- Sex", {**MF, -2: "No answer"}),
        ("Q262", "Q262.- Age"),
        one(
            "Q46",
            "Q46.- Feeling of happiness",
            {1: "Very happy", 2: "Quite happy", 3: "Not very happy", 4: "Not at all happy"},
            WVS_MISSING,
        ),
    ),
    "GSS": Layout(
        ("wtssps", "post-stratification weight"),
        ("sex", "respondents sex", MF),
        ("age", "age of respondent"),
        one("happy", "general happiness", {1: "very happy", 2: "pretty happy", 3: "not too happy"}, {8: "DK", 9: "NA", 0: "IAP"}),
    ),
    "ANES": Layout(
        ("V200010b", "FULL SAMPLE POST-ELECTION WEIGHT"),
        ("V201600", "PRE: WHAT IS YOUR (R) SEX? [REVISED]", {-9: "-9. Refused", 1: "1. Male", 2: "2. Female"}),
        ("V201507x", "PRE: SUMMARY: RESPONDENT AGE"),
        one(
            "V201129",
            "PRE: APPROVE OR DISAPPROVE PRESIDENT",
            {1: "1. Approve", 2: "2. Disapprove"},
            {-9: "-9. Refused", -8: "-8. Don't know"},
            declared=False,
        ),
    ),
    "CGSS": Layout(
        ("weight_raking", "加权"),
        ("a2", "性别", CN),
        ("age", "年龄"),
        one(
            "a35",
            "总的来说，您认为当今的社会公不公平",
            {1: "完全不公平", 2: "比较不公平", 3: "居中", 4: "比较公平", 5: "完全公平"},
            {98: "不知道", 99: "拒绝回答"},
            declared=False,
        ),
    ),
    "CFPS": Layout(
        ("rswt_natcs20n", "全国截面权数"),
        ("gender", "性别", CN),
        ("age", "年龄"),
        one(
            "qn12012",
            "对自己生活的满意程度",
            {1: "很不满意", 2: "不满意", 3: "一般", 4: "满意", 5: "非常满意"},
            {-1: "不知道", -2: "拒绝回答", -8: "不适用"},
        ),
    ),
    "Afrobarometer": Layout(
        ("withinwt", "Within-country weight"),
        ("Q101", "Q101. Gender", {1: "Man", 2: "Woman"}),
        ("Q1", "Q1. Age"),
        one(
            "Q5A",
            "Q5a. Country's economic condition",
            {1: "Very bad", 2: "Fairly bad", 3: "Neither good nor bad", 4: "Fairly good", 5: "Very good"},
            {-1: "Missing", 8: "Refused", 9: "Don't know"},
            declared=False,
        ),
    ),
    "Latinobarometro": Layout(
        ("wt", "Ponderador"),
        ("SEXO", "Sexo del entrevistado", {1: "Hombre", 2: "Mujer"}),
        ("EDAD", "Edad del entrevistado"),
        one(
            "P11STGBS",
            "Satisfacción con la democracia",
            {1: "Muy satisfecho", 2: "Más bien satisfecho", 3: "No muy satisfecho", 4: "Nada satisfecho"},
            {-1: "No sabe", -2: "No responde"},
            declared=False,
        ),
    ),
    "Eurobarometer": Layout(
        ("w1", "WEIGHT RESULT FROM TARGET (REDRESSMENT)"),
        ("d10", "GENDER", {1: "Man", 2: "Woman"}),
        ("d11", "AGE EXACT"),
        one("d70", "LIFE SATISFACTION", SATISFIED, {5: "DK"}, declared=False),
    ),
    "ISSP": Layout(
        ("WEIGHT", "Weighting factor"),
        ("SEX", "Sex of Respondent", {**MF, -9: "No answer"}),
        ("AGE", "Age of respondent"),
        one("v5", "Q1 People like me don't have any say", AGREE, {-8: "Can't choose", -9: "No answer"}),
    ),
    "CSES": Layout(
        ("E1010_1", "ORIGINAL WEIGHT: SAMPLE"),
        ("E2002", "GENDER", {0: "MALE", 1: "FEMALE"}),
        ("E2001_A", "AGE OF RESPONDENT (IN YEARS)"),
        one(
            "E3024",
            "SATISFACTION WITH DEMOCRACY",
            {1: "VERY SATISFIED", 2: "FAIRLY SATISFIED", 4: "NOT VERY SATISFIED", 5: "NOT AT ALL SATISFIED"},
            {7: "REFUSED", 8: "DON'T KNOW", 9: "MISSING"},
        ),
    ),
    "Pew": Layout(
        ("WEIGHT_W67", "Wave 67 weight"),
        ("F_SEX", "Sex", {**MF, 99: "Refused"}),
        ("AGE", "Age of respondent"),
        one(
            "SATIS_W67",
            "SATIS. Satisfied with the way things are going",
            {1: "Satisfied", 2: "Dissatisfied"},
            {99: "Refused"},
            declared=False,
        ),
    ),
    "SHARE": Layout(
        ("cciw_w7", "calibrated cross-sectional individual weight"),
        ("gender", "Male or female", MF),
        ("age_int", "Age of respondent at interview"),
        one("ac012_", "How satisfied with life", SATISFIED, {-1: "Don't know", -2: "Refusal"}),
    ),
    "SOEP": Layout(
        ("phrf", "Hochrechnungsfaktor Gewichtung"),
        ("sex", "Geschlecht", {1: "[1] Männlich", 2: "[2] Weiblich"}),
        ("alter", "Alter"),
        one(
            "plh0182",
            "Sorgen: wirtschaftliche Lage",
            {1: "[1] Große Sorgen", 2: "[2] Einige Sorgen", 3: "[3] Keine Sorgen"},
            {-1: "[-1] Keine Angabe", -2: "[-2] Trifft nicht zu"},
            declared=False,
        ),
    ),
    "PSID": Layout(
        ("ER34650", "CORE/IMM INDIVIDUAL CROSS-SECTIONAL WEIGHT"),
        ("ER32000", "SEX OF INDIVIDUAL", MF),
        ("ER34504", "AGE OF INDIVIDUAL"),
        one(
            "ER33514",
            "HEALTH STATUS",
            {1: "Excellent", 2: "Very good", 3: "Good", 4: "Fair", 5: "Poor"},
            {8: "DK", 9: "NA; refused", 0: "Inap."},
            declared=False,
        ),
    ),
    "DHS": Layout(
        ("hv005", "household sample weight (6 decimals)"),
        ("hv104", "sex of respondent", MF),
        ("hv105", "age of respondent"),
        one(
            "v743a",
            "person who decides on health care",
            {1: "respondent alone", 2: "respondent and partner", 4: "partner alone", 5: "someone else"},
            {9: "missing"},
            declared=False,
        ),
    ),
    "MICS": Layout(
        ("wmweight", "Women's sample weight"),
        ("HL4", "Sex", MF),
        ("WB4", "Age of woman"),
        one(
            "LS1",
            "Overall happiness",
            {1: "Very happy", 2: "Somewhat happy", 3: "Neither happy nor unhappy", 4: "Somewhat unhappy", 5: "Very unhappy"},
            {9: "No response"},
        ),
    ),
    "NHANES": Layout(
        ("WTINT2YR", "Full sample 2 year interview weight"),
        ("RIAGENDR", "Gender", MF),
        ("RIDAGEYR", "Age in years at screening"),
        one(
            "HUQ010",
            "General health condition",
            {1: "Excellent", 2: "Very good", 3: "Good", 4: "Fair", 5: "Poor"},
            {7: "Refused", 9: "Don't know"},
            declared=False,
        ),
    ),
    "BRFSS": Layout(
        ("X_LLCPWT", "FINAL WEIGHT: LAND-LINE AND CELL-PHONE DATA"),
        ("SEXVAR", "Sex of Respondent", MF),
        ("AGE80", "IMPUTED AGE VALUE COLLAPSED ABOVE 80"),
        one(
            "GENHLTH",
            "GENERAL HEALTH",
            {1: "Excellent", 2: "Very good", 3: "Good", 4: "Fair", 5: "Poor"},
            {7: "Don't know/Not Sure", 9: "Refused"},
            declared=False,
        ),
    ),
    "PISA": Layout(
        ("W_FSTUWT", "FINAL TRIMMED NONRESPONSE ADJUSTED STUDENT WEIGHT"),
        ("ST004D01T", "Student (Standardized) Gender", {1: "Female", 2: "Male"}),
        ("AGE", "Age"),
        one(
            "ST034Q01TA",
            "Thinking about your school: I feel like an outsider",
            {1: "Strongly agree", 2: "Agree", 3: "Disagree", 4: "Strongly disagree"},
            {95: "Valid Skip", 97: "Not Applicable", 98: "Invalid", 99: "No Response"},
        ),
    ),
    "TIMSS": Layout(
        ("TOTWGT", "TOTAL STUDENT WEIGHT"),
        ("ITSEX", "SEX OF STUDENTS", {1: "Female", 2: "Male"}),
        ("BSDAGE", "Students age"),
        one(
            "BSBM16A",
            "GEN\\AGREE\\ENJOY LEARNING MATHEMATICS",
            {1: "Agree a lot", 2: "Agree a little", 3: "Disagree a little", 4: "Disagree a lot"},
            {9: "Omitted or invalid"},
        ),
    ),
    "EU-SILC": Layout(
        ("PB040", "Personal cross-sectional weight"),
        ("PB150", "Sex", MF),
        ("RX010", "Age at the date of interview"),
        one("PH010", "General health", {1: "Very good", 2: "Good", 3: "Fair", 4: "Bad", 5: "Very bad"}),
    ),
    "LFS": Layout(
        ("PWT22", "Person weight"),
        ("SEX", "Sex of respondent", MF),
        ("AGE", "Age of respondent"),
        one(
            "ILODEFR",
            "Basic economic activity",
            {1: "In employment", 2: "ILO unemployed", 3: "Inactive"},
            {-9: "Does not apply", -8: "No answer"},
            declared=False,
        ),
    ),
    "UKHLS": Layout(
        ("l_indinui_xw", "cross-sectional adult main interview weight"),
        ("l_sex", "sex of respondent", {1: "male", 2: "female", -9: "missing"}),
        ("l_dvage", "Age, derived from dob"),
        one(
            "l_sclfsato",
            "Satisfaction with life overall",
            {**{code: f"{code} of 7" for code in range(2, 7)}, 1: "Completely dissatisfied", 7: "Completely satisfied"},
            {-1: "don't know", -2: "refusal", -8: "inapplicable", -9: "missing"},
            declared=False,
        ),
    ),
    "ArabBarometer": Layout(
        ("WT", "Weight"),
        ("Q1002", "Q1002. الجنس", {1: "ذكر", 2: "أنثى"}),
        ("Q1001", "Q1001. العمر"),
        one(
            "Q101",
            "Q101. الوضع الاقتصادي",
            {1: "جيد جدا", 2: "جيد", 3: "سيئ", 4: "سيئ جدا"},
            {98: "لا أعرف", 99: "رفض الإجابة"},
            declared=False,
        ),
    ),
    "AsianBarometer": Layout(
        ("w", "Weight"),
        ("SE2", "SE2 Gender", MF),
        ("SE3_1", "SE3_1 Actual age of respondent"),
        one(
            "q1",
            "q1 Overall economic condition",
            {1: "Very good", 2: "Good", 3: "So so", 4: "Bad", 5: "Very bad"},
            {8: "Can't choose", 9: "Decline to answer", 7: "Do not understand the question"},
        ),
    ),
    "ALLBUS": Layout(
        ("wghtpew", "PERSONENBEZOGENES OST-WEST-GEWICHT"),
        ("sex", "GESCHLECHT, BEFRAGTE<R>", {1: "MANN", 2: "FRAU", -9: "KEINE ANGABE"}),
        ("age", "ALTER: BEFRAGTE<R>"),
        one(
            "pt03",
            "VERTRAUEN: BUNDESTAG",
            {1: "GAR KEIN VERTRAUEN", **{code: ".." + "." * code for code in range(2, 7)}, 7: "GROSSES VERTRAUEN"},
            {-9: "KEINE ANGABE", -11: "TNZ: SPLIT"},
        ),
    ),
    "KGSS": Layout(
        ("FINALWT", "가중치"),
        ("SEX", "성별", {1: "남자", 2: "여자"}),
        ("AGE", "만 나이"),
        one(
            "SATLIFE",
            "삶의 만족도",
            {1: "매우 만족", 2: "다소 만족", 3: "다소 불만족", 4: "매우 불만족"},
            {8: "모르겠다", -8: "무응답"},
            declared=False,
        ),
    ),
    "JGSS": Layout(
        ("WEIGHT", "ウェイト"),
        ("SEXA", "性別", {1: "男性", 2: "女性"}),
        ("AGEB", "年齢"),
        one(
            "OP5HAPPZ",
            "幸福度",
            {1: "とても幸せ", 2: "やや幸せ", 3: "あまり幸せでない", 4: "まったく幸せでない"},
            {9: "無回答"},
            declared=False,
        ),
    ),
    "RLMS": Layout(
        ("inwgt", "Вес индивида"),
        ("h5", "Пол респондента", {1: "Мужской", 2: "Женский"}),
        ("age", "Возраст, лет"),
        one(
            "j65",
            "Удовлетворены ли Вы жизнью",
            {1: "Полностью удовлетворены", 2: "Скорее удовлетворены", 3: "Не очень удовлетворены", 4: "Совсем не удовлетворены"},
            {97: "ЗАТРУДНЯЮСЬ ОТВЕТИТЬ", 98: "ОТКАЗ ОТ ОТВЕТА", 99: "НЕТ ОТВЕТА"},
            declared=False,
        ),
    ),
}


def frame_of(layout: Layout) -> pd.DataFrame:
    """Return made-up respondents: every labelled code of every question occurs."""
    draw = np.random.default_rng(0)
    columns: dict[str, Any] = {layout.weight[0]: draw.gamma(3, 0.4, N).round(4)}
    columns |= {name: draw.gamma(2, 0.5, N).round(4) for name in layout.other_weights}
    name, _, labels = layout.gender
    columns[name] = np.resize([code for code, label in labels.items() if code >= 0 and code < 90], N).astype(float)
    columns[layout.age[0]] = draw.integers(18, 85, N).astype(float)
    for question, (_, of_code, _) in layout.questions.items():
        columns[question] = draw.permutation(np.resize(list(of_code), N)).astype(float)
    return pd.DataFrame(columns)


def write_layout(layout: Layout, path: Path) -> Path:
    """Write a layout as a .sav file, declared missing codes as such."""
    names = {layout.weight[0]: layout.weight[1], **layout.other_weights, layout.gender[0]: layout.gender[1], layout.age[0]: layout.age[1]}
    names |= {question: label for question, (label, _, _) in layout.questions.items()}
    labels = {layout.gender[0]: dict(layout.gender[2]), **{question: dict(of) for question, (_, of, _) in layout.questions.items()}}
    ranges = {question: _ranges(codes) for question, (_, _, codes) in layout.questions.items() if codes}
    pyreadstat.write_sav(frame_of(layout), str(path), column_labels=names, variable_value_labels=labels, missing_ranges=ranges)
    return path


def _ranges(codes: tuple[float, ...]) -> list[Any]:
    return list(codes) if len(codes) <= 3 else [{"lo": min(codes), "hi": max(codes)}]
