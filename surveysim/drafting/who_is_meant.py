"""Which variable is the respondent's gender and which the age, in fourteen languages; never a partner's, an interviewer's or a child's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surveysim.codebook.missing_labels import bare_label, plain_text
from surveysim.codebook.questions import Code
from surveysim.drafting.variables import MOST_OPTIONS, DraftVariable, written


def _any_word(words: str) -> re.Pattern[str]:
    """Return a pattern of words separated by "|": whole ones where letters stand apart, beginnings where one ends in "*"."""
    forms = [plain_text(word) for word in words.replace("\n", "").split("|")]
    apart = [rf"\b{re.escape(word.removesuffix('*'))}{'' if word.endswith('*') else chr(92) + 'b'}" for word in forms if word[:1] < "ᄀ"]
    joined = [re.escape(word) for word in forms if word[:1] >= "ᄀ"]  # Hangul, kana and Chinese stand without spaces
    return re.compile("|".join([*apart, *joined]))


def _words(words: str) -> frozenset[str]:
    return frozenset(plain_text(word) for word in words.replace("\n", "").split("|"))


MEN = _words(
    "male|males|man|men|m|boy|a man|homme|masculin|un homme|h|mann|mannlich|männlich|männer|herr|hombre|masculino|varon|varón|"
    "hombres|homem|uomo|maschio|maschile"
    "|cis man|cisgender man|cisgender male"
    "|man (m)|mężczyzna|męska|mezczyzna|мужской|мужчина|муж|мужчины|мужской пол|erkek|bay|mann (m)|ذكر|رجل|男|男性|男生|男人|남|"
    "남자|남성|male (m)|m - male"
)
WOMEN = _words(
    "female|females|woman|women|f|w|girl|a woman|femme|féminin|une femme|frau|weiblich|frauen|mujer|femenino|femenina|mujeres|"
    "mulher|feminino|donna|femmina"
    "|cis woman|cisgender woman|cisgender female"
    "|femminile|vrouw|vrouwelijk|kobieta|żeńska|женский|женщина|жен|женщины|женский пол|kadın|bayan|kvinne|أنثى|انثى|امرأة|女|"
    "女性|女生|女人|여|여자|여성"
)
OTHERS = _any_word(
    "other|another|non-binary|nonbinary|non binary|third gender|divers|diverse|transgender|trans|intersex|queer|genderqueer|"
    "self-describe|self describe"
    "|something else|another way|autre|andere|anders|otro|otra|outro|outra|altro|inna|другой|другое|diğer|أخرى|其他|其它|跨性别|"
    "その他|기타|neither|agender"
    "|gender fluid|prefer to self*|no binario|não binári*|non binaire|nicht-binär|x"
)
_GENDER = _any_word(
    "sex|gender|gndr|sexe|genre|geschlecht|sexo|género|genero|sesso|genere|geslacht|płeć|plec|пол|cinsiyet|cinsiyeti|kjønn|الجنس|"
    "النوع|性别|性別|성별"
    "|male|female"
)
_AGE = _any_word(
    "age|aged|alter|lebensalter|edad|idade|età|eta|leeftijd|wiek|возраст*|лет|yaş|yaşı|yaşınız|alder|العمر|السن|年龄|年齢|年齡|"
    "나이|연령|만나이|how old are you"
    "|âge|wie alt|agea|ppage|rage|respage|age years|quantos anos você|quantos anos tem|quanti anni ha|ile ma pan*|kaç yaşında*|"
    "hoe oud bent|cuántos años tiene|hvor gammel er du"
)
_SOMEBODY_ELSE = _any_word(
    "interviewer*|interviewer's|partner*|spouse*|husband*|wife|wife's|child*|son|son's|daughter*|kid|kids|mother*|father*|parent|"
    "parents|parent's|sibling*|brother*|sister*"
    "|household|household's|hh|family member*|baby|infant|friend*|candidate*|boss|supervisor*|neighbor*|neighbour*|second person|"
    "third person|fourth person|fifth person|sixth person"
    "|seventh person|eighth person|ninth person|tenth person|eleventh person|twelfth person|person 2|person 3|person 4|"
    "other person|member|members"
    "|enquêteur*|enquêtrice|conjoint*|partenaire*|enfant*|mère|père|ménage|mari|épouse|ehepartner*|ehefrau|ehemann|kind|kindes|"
    "kinder|mutter|vater|haushalt*|interviewers"
    "|encuestador*|entrevistador*|pareja|cónyuge|esposo*|esposa*|hijo*|hija*|madre|padre|hogar|jefe|jefa|parceir*|cônjuge|filho*|"
    "filha*|mãe|pai|domicílio|agregado"
    "|intervistatore|coniuge|figlio|figli|famiglia|moeder|vader|echtgeno*|huishouden|enquêteur|ankieter*|małżon*|dzieck*|dzieci|"
    "matk*|ojc*|gospodarstw*"
    "|интервьюер*|партнер*|супруг*|муж|мужа|жена|жены|ребен*|дет*|мать|матери|отец|отца|домохозяй*|görüşmeci|anketör|eş|eşinin|"
    "eşiniz*|çocu*|anne*|baba*|hane*"
    "|الباحث|الزوج*|زوج*|طفل*|الام|الاب|الاسرة|访员|调查员|配偶|丈夫|妻子|子女|孩子|父亲|母亲|户主|家庭成员|家人|伴侣|配偶者|"
    "調査員|子ども|父|母|世帯|배우자|조사원|면접원|자녀|아버지|어머니|가구"
)
_OTHER_AGE = _any_word(
    "when|first|at which|at birth|at marriage|left|completed|finish*|youngest|oldest|ideal|begin|began|start*|retire*|retirement|"
    "become|too old|too young|begins|age group|groups"
    "|old age|until|discriminat*|pension*|cuando|cuándo|primera|lorsque|premier|première|als sie|quando|toen|kiedy|когда|ilk|"
    "عندما|第一次|初婚|初めて|처음|education|school|school*"
    "|difference|average|voting age|age of majority|minimum|maximum"
)
_RESPONDENT = _any_word(
    "respondent*|respondents|r|r's|respondent's|your|you|usted|entrevistado|entrevistada|encuestado|befragte*|répondant*|enquêté|"
    "респондент*|被访者|受访者|本人|回答者|응답자"
)
_NAMES_OF_GENDER = _words(
    "gndr|gender|sex|sexo|sexe|geschlecht|genero|sesso|genere|geslacht|plec|pol|cinsiyet|q260|d10|ppgender|rsex|sexe_r|"
    "gender_r|ragender|kjonn|sex_r"
)
_NAMES_OF_AGE = _words(
    "age|agea|ppage|q262|rage|edad|alter|idade|eta|leeftijd|wiek|yas|vozrast|alder|age_r|agey|ageyrs|respage|d11|r_age|realage|"
    "age_years|年龄"
)
_BIRTH = _any_word(
    "year of birth|birth year|born|yrbrn|birthyr|byear|geburtsjahr|fecha de nacimiento|año de nacimiento|année de naissance|"
    "ano de nascimento|anno di nascita|geboortejaar"
    "|rok urodzenia|год рождения|doğum yılı|سنة الميلاد|出生年*|生年|출생년*|출생연도"
)
_HIGHEST_AGE = 120
_FEW_LABELS = 4  # of ages: "89 or older", "under 18"
MOST_GENDERS, _MAN_WOMAN_OTHER = 8, 3


@dataclass(frozen=True, eq=False)
class Guess:
    """A variable taken for a trait, and the rivals that it was chosen before.

    Attributes
    ----------
    chosen : DraftVariable
    rivals : tuple of str
        Names of variables that are the respondent's too, by their words.
    remarks : tuple of str
        What is to be checked.
    """

    chosen: DraftVariable
    rivals: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def genders(draft: DraftVariable) -> dict[Code, str]:
    """Return code -> "a man", "a woman", "a person of another gender" (or the label), empty unless the options are genders.

    One option is for men, one for women, and what there is beside them is named in words of another gender.
    """
    if not 2 <= len(draft.options) <= MOST_GENDERS:
        return {}
    texts = [_gender_of(label) for label in draft.options.values()]
    if "" in texts or texts.count("a man") != 1 or texts.count("a woman") != 1:
        return {}
    if len(texts) > _MAN_WOMAN_OTHER:
        texts = [
            text if text in ("a man", "a woman") else f"a person whose gender is {label}"
            for text, label in zip(texts, draft.options.values(), strict=True)
        ]
    return dict(zip(draft.options, texts, strict=True))


@lru_cache(maxsize=4096)
def _gender_of(label: str) -> str:
    word = plain_text(bare_label(label))
    first = re.split(r"\s*[/(,]\s*", word)[0]
    if word in WOMEN or first in WOMEN:
        return "a woman"
    if word in MEN or first in MEN:
        return "a man"
    return "a person of another gender" if OTHERS.search(word) else ""


def is_somebody_else(draft: DraftVariable) -> bool:
    """Say whether a variable speaks of an interviewer, a partner, a child or another member of the household."""
    return bool(_SOMEBODY_ELSE.search(draft.said))


def respondents_gender(drafts: Sequence[DraftVariable]) -> Guess | None:
    """Return the variable that holds the respondent's gender, with its rivals, or None."""
    found = [draft for draft in drafts if genders(draft) and not draft.unlabelled and not is_somebody_else(draft)]
    return _best(found, _NAMES_OF_GENDER, _GENDER)


def respondents_age(drafts: Sequence[DraftVariable]) -> Guess | None:
    """Return the variable that holds the respondent's age in years, with its rivals and codes that may be none, or None."""
    found = [draft for draft in drafts if _is_age(draft)]
    guess = _best(found, _NAMES_OF_AGE, _AGE)
    return None if guess is None else Guess(guess.chosen, guess.rivals, tuple(_doubtful_ages(guess.chosen)))


def birth_years(drafts: Sequence[DraftVariable]) -> list[DraftVariable]:
    """Return the variables that hold a respondent's year of birth."""
    return [
        draft
        for draft in drafts
        if _BIRTH.search(draft.said)
        and not is_somebody_else(draft)
        and _mostly_between(draft.numbers, 1900, 2020)
        and draft.n_distinct > MOST_OPTIONS
    ]


def ages(draft: DraftVariable) -> np.ndarray:
    """Return the values that are ages: not negative, and not above 120."""
    return draft.numbers[(draft.numbers >= 0) & (draft.numbers <= _HIGHEST_AGE)]


def codes_outside(draft: DraftVariable) -> dict[Code, int]:
    """Return code -> respondents, of values without a label that cannot be an age."""
    odd, counts = np.unique(draft.numbers[(draft.numbers < 0) | (draft.numbers > _HIGHEST_AGE)], return_counts=True)
    return {int(code) if float(code).is_integer() else float(code): int(n) for code, n in zip(odd, counts, strict=True)}


def _is_age(draft: DraftVariable) -> bool:
    if draft.is_text or (len(draft.options) > _FEW_LABELS and any(written(code) not in label for code, label in draft.options.items())):
        return False
    named = draft.name.casefold() in _NAMES_OF_AGE or bool(_AGE.search(draft.said))
    if not named or is_somebody_else(draft) or _OTHER_AGE.search(draft.said):
        return False
    return draft.n_distinct > MOST_OPTIONS and _mostly_between(draft.numbers, 10, 110)


def _mostly_between(numbers: np.ndarray, low: float, high: float) -> bool:
    found = numbers[~np.isnan(numbers)]
    return len(found) > 0 and float(((found >= low) & (found <= high)).mean()) > 0.75


def _doubtful_ages(draft: DraftVariable) -> list[str]:
    """Return remarks on codes that are no age, and on 97 to 99 where far more respondents have it than ages just below."""
    remarks = [f"code {code} ({n:,} respondents) is no age: missing here" for code, n in codes_outside(draft).items()]
    found, counts = np.unique(ages(draft), return_counts=True)
    usual = max((int(n) for age, n in zip(found, counts, strict=True) if 90 <= age < 97), default=0)
    return remarks + [
        f"code {int(age)} ({int(n):,} respondents) may be a missing code rather than an age: check it"
        for age, n in zip(found, counts, strict=True)
        if age in (97, 98, 99) and n > 3 * (usual + 1)
    ]


def _best(found: Sequence[DraftVariable], names: frozenset[str], words: re.Pattern[str]) -> Guess | None:
    """Choose by name, then by the words of the label, then by the respondent being named, then by place in the file."""
    order = sorted(
        found,
        key=lambda draft: (draft.name.casefold() not in names, not words.search(draft.said), not _RESPONDENT.search(draft.said)),
    )
    return Guess(order[0], tuple(draft.name for draft in order[1:])) if order else None
