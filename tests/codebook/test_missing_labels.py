"""Which value labels name a missing answer: a table of labels as files write them, right and wrong, by language."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

import surveysim as ss
from surveysim.codebook.missing_labels import Reading, read_label, reason_from_label, reason_in_place, stands_apart

# language -> reason -> labels, separated by "|"
MISSING = {
    "English": {
        "refused": "Refused|Refusal|REFUSED|-9. Refused|97 = Refused|(7) Refused|R refused|Respondent refused"
        "|I prefer not to answer|Prefer not to say|Prefer not to disclose"
        "|Decline to state|Declined to answer|Refused to answer|I'd rather not say|I’d rather not say|Would rather not say"
        "|Refused (VOL.)|[VOL] Refused|(VOL.) Refused"
        "|DO NOT READ: Refused|7.- Refused|Refused/No answer|Unwilling to answer|Does not want to answer"
        "|Refused, terminated interview|Rather not say|9: Refused"
        "|I do not wish to answer|Chose not to answer",
        "dont_know": "Don't know|Don’t know|DON'T KNOW|Dont know|Do not know|DK|dk|D/K|DK/NA|DK / Refused|I Don't Know"
        "|I do not know|8. Don't know|88 -Don't know|(8) Don't know"
        "|8 – Don't know|-8. Don't know|[DO NOT READ] Don't know|(DO NOT READ) Don't know|Don't know [DO NOT READ]"
        "|Don't know (DO NOT READ OUT)|(VOL.) Don't know"
        "|Don't know (VOL.)|Don't know or haven't heard enough to say|Don't know/Haven't heard enough|Don't know / not sure"
        "|Can't choose|Cannot choose|Can't say"
        "|Unable to say|Hard to say|It is hard to say"
        + "|R doesn't know|Does not know|Don't know, never heard of it|Do not know (spontaneous)|DK (Don't know)"
        "|98 DK, NA, refused|Haven't heard enough to say"
        "|Don't know yet|VOL: Don't know|Don't know - volunteered",
        "no_answer": "No response given|-5. Interview breakoff (sufficient partial IW)|-6. No post-election interview|Skipped on web"
        "|No answer|NO ANSWER|9 No answer|No response|Non-response|Not stated|Not ascertained|Not answered|NA"
        "|99. NA|NR|No reply|Left blank|Did not answer"
        "|No answer, refused|No answer (missing)|Item nonresponse|-2. No answer|No answer given|Unanswered|Not reported",
        "not_applicable": "Not applicable|N/A|n/a|N.A.|NAP|IAP|Inap|Inap.|INAP. (not married)|Inapplicable"
        "|0. Inap, never worked|Does not apply|Doesn't apply|Valid skip"
        "|Legitimate skip|No partner, not applicable|Never worked; not applicable|Lives alone - not applicable"
        "|Not applicable (no children)|-1 Inapplicable|Not in universe"
        "|Not applicable; no job|NAP, other|No religion (not applicable)",
        "not_asked": "Not asked|Question not asked|Not asked in this country|Not asked in survey|Not included in this wave"
        "|Not fielded in this year|-4 Not asked in survey"
        "|Not in questionnaire|Not available in this country|Question was not asked in this round|Not administered"
        "|Not asked of half the sample|Not asked (split ballot)",
        "other": "Not coded|Not codeable|-4. Technical error|BLANK - data missing"
        "|Missing|-1 Missing|Missing; Unknown|Missing; other|Missing value|Missing data|System missing|MISSING DATA"
        "|Data missing|User missing",
    },
    "French": {
        "refused": "Refus|Refuse de répondre|A refusé de répondre|Ne veut pas répondre|Ne souhaite pas répondre"
        "|Je préfère ne pas répondre|Préfère ne pas répondre|97. Refus (NE PAS LIRE)",
        "dont_know": "Ne sait pas|Je ne sais pas|NSP|(NSP)|Ne sait pas / sans opinion|NE SAIT PAS (NE PAS LIRE)|8 - Ne sait pas|NSP/NR",
        "no_answer": "Sans réponse|Pas de réponse|Non réponse|Non-réponse|N’a pas répondu|Aucune réponse|Non déclaré",
        "not_applicable": "Sans objet|Non applicable|Ne s’applique pas|Non concerné|Pas concerné",
        "not_asked": "Question non posée|Non posée",
        "other": "Manquant|Valeur manquante|Données manquantes",
    },
    "German": {
        "refused": "Verweigert|Antwort verweigert|ANTWORT VERWEIGERT|Möchte nicht antworten|Möchte ich nicht sagen"
        "|97 Verweigert|Ich möchte nicht antworten",
        "dont_know": "Weiß nicht|Weiss nicht|WEISS NICHT|weiß ich nicht|Ich weiß nicht|98: weiß nicht"
        "|Weiß nicht / keine Angabe|Kann ich nicht sagen|Kann nicht sagen|Weiß nicht (nicht vorlesen)",
        "no_answer": "Keine Angabe|KEINE ANGABE|Keine Antwort|k.A.|Ohne Angabe|-9 Keine Angabe|99. Keine Angabe|nicht beantwortet",
        "not_applicable": "Nicht zutreffend|Entfällt",
        "not_asked": "Nicht gefragt|Nicht erhoben|Frage nicht gestellt",
        "other": "Fehlend|Fehlender Wert|Fehlende Angabe",
    },
    "Spanish": {
        "refused": "Rehúsa contestar|Se rehúsa|Rehusó|No quiere contestar|Prefiere no responder|Prefiero no decirlo"
        "|Se niega a responder|No quiso responder",
        "dont_know": "No sabe|NO SABE|8.- No sabe|88. - No sabe|NS/NR|NS/NC|NS/NP|NS (NO LEER)|No sé|No lo sé|Yo no sé"
        "|No sabe/No contesta|No sabe / No responde|(No leer) No sabe|NS|[NO LEER] No sabe|No sabe (esp.)|N.S.|N.S./N.C.",
        "no_answer": "No contesta|No responde|NR (NO LEER)|9.- No responde|N.C.|NC|Sin respuesta|Sin dato|No contestó|99. - No contesta",
        "not_applicable": "No aplica|No procede|No corresponde|0. No aplica|No es estudiante, no aplica",
        "not_asked": "No preguntado|No se preguntó|Pregunta no realizada",
        "other": "Perdido|Valor perdido|Datos perdidos",
    },
    "Portuguese": {
        "refused": "Recusou-se a responder|Recusa responder|Não quis responder|Prefiro não responder|Prefere não responder|Recusou",
        "dont_know": "Não sabe|NÃO SABE|Nao sabe|Não sei|Não sabe/Não responde|NS/NR|98. Não sabe (NÃO LER)|Eu não sei",
        "no_answer": "Não responde|Não respondeu|Sem resposta|Não informado|Não declarado",
        "not_applicable": "Não se aplica|Não aplicável",
        "not_asked": "Não perguntado|Não foi perguntado",
        "other": "Valor ausente|Omisso",
    },
    "Italian": {
        "refused": "Rifiuta di rispondere|Si rifiuta di rispondere|Non vuole rispondere|Preferisco non rispondere",
        "dont_know": "Non so|NON SO|Non sa|Non saprei|Io non so|Non sa/Non risponde|8. Non so (NON LEGGERE)",
        "no_answer": "Non risponde|Nessuna risposta|Non ha risposto|Mancata risposta",
        "not_applicable": "Non applicabile|Non pertinente|Non si applica",
        "not_asked": "Non rilevato|Domanda non posta",
        "other": "Valore mancante|Dato mancante",
    },
    "Dutch": {
        "refused": "Wil niet zeggen|Wil niet antwoorden|Zeg ik liever niet|Geweigerd|Weigering",
        "dont_know": "Weet niet|WEET NIET|Weet ik niet|Ik weet het niet|Geen idee|8. Weet niet (niet voorlezen)|Weet niet / geen mening",
        "no_answer": "Geen antwoord|Niet ingevuld|Geen opgave|Niet beantwoord",
        "not_applicable": "Niet van toepassing|n.v.t.|NVT",
        "not_asked": "Niet gevraagd",
        "other": "Ontbrekend|Ontbrekende waarde",
    },
    "Polish": {
        "refused": "Odmowa odpowiedzi|ODMOWA ODPOWIEDZI|Odmówił odpowiedzi|Nie chcę odpowiadać|Wolę nie odpowiadać",
        "dont_know": "Nie wiem|NIE WIEM|Trudno powiedzieć|97. Trudno powiedzieć|Nie wiem, trudno powiedzieć|Nie wie"
        "|Nie potrafię powiedzieć",
        "no_answer": "Brak odpowiedzi|Bez odpowiedzi|Nie odpowiedział",
        "not_applicable": "Nie dotyczy|Nie ma zastosowania",
        "not_asked": "Nie pytano|Nie zadano pytania",
        "other": "Brak danych|Braki danych",
    },
    "Russian": {
        "refused": "Отказ от ответа|ОТКАЗ ОТ ОТВЕТА|Отказался отвечать|Отказался|Не хочу отвечать|97. Отказ от ответа",
        "dont_know": "Затрудняюсь ответить|ЗАТРУДНЯЮСЬ ОТВЕТИТЬ|Не знаю|Я не знаю|Трудно сказать|Затруднились ответить"
        "|Не знаю / затрудняюсь ответить|98 Затрудняюсь ответить (не зачитывать)",
        "no_answer": "Нет ответа|НЕТ ОТВЕТА|Без ответа|Не ответил|Не указано",
        "not_applicable": "Неприменимо|Не применимо",
        "not_asked": "Вопрос не задавался|Не спрашивали",
        "other": "Пропуск|Пропущенное значение",
    },
    "Turkish": {
        "refused": "Cevap vermeyi reddetti|Cevap vermek istemiyorum|Yanıtlamak istemiyorum|Söylemek istemiyorum",
        "dont_know": "Bilmiyorum|BİLMİYORUM|Bilmiyor|Fikrim yok|Fikri yok|Bilmiyorum / Cevap yok|98. Bilmiyorum",
        "no_answer": "Cevap yok|CEVAP YOK|Yanıt yok|Cevapsız|Cevap vermedi",
        "not_applicable": "Uygulanamaz|Geçerli değil",
        "not_asked": "Sorulmadı|Soru sorulmadı",
        "other": "Kayıp|Kayıp değer|Eksik veri",
    },
    "Arabic": {
        "refused": "رفض الإجابة|رفض الاجابة|يرفض الإجابة|أفضل عدم الإجابة|لا أريد الإجابة|(9) رفض الإجابة",
        "dont_know": "لا أعرف|لا اعرف|لا يعرف|لا أدري|لا أعلم|98. لا أعرف|[لا تقرأ] لا أعرف",
        "no_answer": "لا إجابة|بدون إجابة|لا جواب|لم يجب",
        "not_applicable": "لا ينطبق|غير منطبق",
        "not_asked": "لم يسأل|لم يُسأل",
        "other": "مفقود|قيمة مفقودة",
    },
    "Chinese": {
        "refused": "拒绝回答|拒答|不愿回答|9.拒绝回答|不愿意回答",
        "dont_know": "不知道|不清楚|说不清|很难说|无法选择|无法回答|98. 不知道|不知道/拒答|8 不知道|不好说|（8）不知道",
        "no_answer": "未回答|无应答|没有回答|漏答|未填答|无回答",
        "not_applicable": "不适用|跳问|-1.不适用|不适用（未婚）",
        "not_asked": "未问|未提问|没有询问",
        "other": "缺失|缺失值|-8 缺失|数据缺失",
    },
    "Japanese": {
        "refused": "回答拒否|回答したくない|答えたくない",
        "dont_know": "わからない|分からない|8.わからない" + "|わかりません",
        "no_answer": "無回答|回答なし|9 無回答|無記入|未記入",
        "not_applicable": "非該当|対象外|該当なし|非該当（未婚）",
        "not_asked": "未質問",
        "other": "欠損値|欠損",
    },
    "Korean": {
        "refused": "응답거절|응답 거절|응답 거부|9. 응답거절|말하고 싶지 않음",
        "dont_know": "모름|모르겠다|잘 모르겠다|8) 모름|모름/무응답|잘 모르겠음|모르겠습니다",
        "no_answer": "무응답|응답없음|99. 무응답|응답 없음",
        "not_applicable": "해당없음|비해당|해당사항 없음|해당 없음",
        "not_asked": "질문하지 않음",
        "other": "결측|결측값|결측치",
    },
}  # fmt: skip

# Labels of answers that look like missing ones.
ANSWERS = {
    "English": "Not asked to pay a bribe|DK (Denmark)|NA (Namibia)|Refuse to pay taxes|Refused to vote"
    "|Refused to serve in the army|Don't know him personally|Don't know anybody"
    "|Don't know their names|Not applicable to people like me|No|No, never|None|None of these|Nothing|Nothing at all|Neither"
    "|Neither agree nor disagree|Other|Not at all|Not much"
    "|Missing persons are found|Missing school|Never|Not very likely|Not likely|Not important|Not interested|Not a member"
    "|Not a religious person|Not employed|Not in paid work"
    "|Not in the labour force|Not applied for it|Declined|Knows|Know a little|Answered all|No answer is right"
    "|No response is needed from the state|Applicable|Applies fully"
    "|Skipped meals|Skips school|1-2 days|3|Nap in the afternoon|Refugees|Refusal of service happened"
    + "|Denmark|Nauru|Refused, but paid later|Did not know of the law|Asked, not paid|Unclear law|Hardly know|R (Restricted)"
    "|No children|No religion|NO|No party|A refusal to vaccinate"
    "|Cannot say no|Do not know how to read|Don't know how|Unable to work|Blank vote|Vote blank|Prefer not to marry"
    "|Prefer neither|Not sure|Undecided|RF|Refuse",
    "French": "Refuse le vaccin|Non|Ne sait pas lire|Ne sait pas lire ni écrire|Sans diplôme|Pas du tout|Sans emploi|Nul|Pas d'accord",
    "German": "Nein|Trifft überhaupt nicht zu|Keine Kinder|Keine Partei|Weiß|Verweigert den Dienst|Nicht wichtig"
    "|Kein Vertrauen|Gar nicht",
    "Spanish": "No|No sabe leer|No sabe leer ni escribir|Nada|Ninguno|No confía|No tiene hijos|Se opone|No está de acuerdo"
    "|Perdido el empleo",
    "Portuguese": "Não|Não sabe ler|Nada|Nenhum|Não confia|Não concorda|Não trabalha",
    "Italian": "No|Per niente|Nessuno|Non lavora|Non sa leggere|Non d'accordo",
    "Dutch": "Nee|Niet eens|Geen partij|Helemaal niet|Weet veel|Niet werkzaam",
    "Polish": "Nie|Nie wiem o nim|Wcale|Nie pracuje|Nie ufam",
    "Russian": "Нет|Не знаю его|Совсем не доверяю|Не работаю|Отказался от прививки|Не согласен",
    "Turkish": "Hayır|Hiç|Güvenmiyorum|Katılmıyorum|Çalışmıyor",
    "Arabic": "لا|أبدا|لا أثق|غير موافق|لا أعرف القراءة",
    "Chinese": "不|不同意|不信任|没有|从不|不知道的人|无宗教信仰|不重要|其他",
    "Japanese": "いいえ|まったくない|どちらともいえない|反対|信頼しない|その他",
    "Korean": "아니다|전혀 아니다|없음|반대|보통이다|기타|신뢰하지 않음",
}  # fmt: skip

RIGHT = [(language, reason, label) for language, by in MISSING.items() for reason, labels in by.items() for label in labels.split("|")]
WRONG = [(language, label) for language, labels in ANSWERS.items() for label in labels.split("|")]


def test_the_table_is_large_and_speaks_fourteen_languages() -> None:
    assert len(set(RIGHT)) >= 300, len(set(RIGHT))
    assert len(set(WRONG)) >= 100, len(set(WRONG))
    assert len(MISSING) == len(ANSWERS) == 14


@pytest.mark.parametrize("language", MISSING)
def test_labels_of_missing_answers_are_known_with_their_reason(language: str) -> None:
    found = {label: reason_from_label(label) for one, _, label in RIGHT if one == language}
    assert found == {label: reason for one, reason, label in RIGHT if one == language}


@pytest.mark.parametrize("language", ANSWERS)
def test_labels_of_answers_that_look_like_missing_ones_stay_answers(language: str) -> None:
    found = {label: reason_from_label(label) for one, label in WRONG if one == language}
    assert {label: reason for label, reason in found.items() if reason} == {}


def test_words_that_may_be_an_answer_count_where_their_code_stands_apart() -> None:
    assert read_label("RF") == Reading("refused", False)
    assert reason_in_place(9, {1: "Agree", 2: "Disagree", 9: "RF"}) == Reading("refused", False)
    assert reason_in_place(643, {40: "AT", 276: "DE", 643: "RF", 756: "CH"}) == Reading(None, False), "the Russian Federation, amid others"
    assert reason_in_place(-9, {1: "Improved", 2: "Declined", -9: "Refuse"}) == Reading("refused", False)
    assert reason_in_place(3, {1: "Increased", 2: "Stayed the same", 3: "Declined"}) == Reading(None, False)
    assert reason_in_place(2, {1: "Accept", 2: "Refuse"}) == Reading(None, False)
    assert reason_in_place(8, {1: "Yes", 2: "No", 8: "Not sure"}) == Reading("dont_know", False)


def test_the_other_labels_may_make_an_answer_of_one() -> None:
    assert reason_in_place(4, {1: "Trifft voll zu", 2: "Trifft eher zu", 3: "Trifft eher nicht zu", 4: "Trifft nicht zu"}).reason is None
    assert reason_in_place(5, {1: "Applies fully", 2: "Applies somewhat", 3: "Does not apply", 5: "Unsure"}) == Reading("dont_know", False)
    assert reason_in_place(3, {1: "Applies fully", 2: "Applies somewhat", 3: "Does not apply"}).reason is None
    assert reason_in_place(2, {1: "DE", 2: "DK", 3: "FR", 4: "SE"}).reason is None, "a list of countries"
    assert reason_in_place(8, {1: "Yes", 2: "No", 8: "DK"}) == Reading("dont_know", True)
    assert reason_in_place(3, {1: "Yes", 2: "No", 3: "Does not apply"}) == Reading("not_applicable", True)


def test_a_code_stands_apart_that_is_negative_or_leaves_numbers_out() -> None:
    assert stands_apart(-1, [1, 2, 3])
    assert not stands_apart(-1, [-2, 1, 2]), "a scale that runs from -2"
    assert stands_apart(9, [1, 2, 3])
    assert not stands_apart(4, [1, 2, 3])
    assert not stands_apart("x", [1, 2])
    assert stands_apart(-1, [])


def test_a_reading_by_place_alone_has_a_note(tmp_path: Path) -> None:
    frame = pd.DataFrame({"q": [1.0, 2.0, 9.0, 1.0]})
    pyreadstat.write_sav(frame, str(tmp_path / "q.sav"), variable_value_labels={"q": {1.0: "Agree", 2.0: "Disagree", 9.0: "RF"}})
    question = ss.Question("q", "Agree?", (ss.Option(1, "Agree"), ss.Option(2, "Disagree")))
    survey = ss.read_survey(tmp_path / "q.sav", ss.Codebook("b", "B", {}, {"q": question}), weight="none")
    assert survey.reasons.q.tolist()[2] == "refused"
    assert any("question 'q': 9 'RF' counts as missing by its label and by where its code stands" in note for note in survey.notes)
