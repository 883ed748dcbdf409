"""The words by which fourteen languages say that there is no valid answer, by reason: the vocabulary of `missing_labels`."""

from __future__ import annotations

# Phrases that say so wherever they stand, separated by "|". Case, accents and typographic signs do not count. A line a language:
# English, French, German, Spanish, Portuguese, Italian, Dutch, Polish, Russian, Turkish, Norwegian, Arabic, Chinese, Japanese, Korean.
PHRASES = {
    "refused": """
refused|refusal|refused to answer|refused to say|refused to respond|refuse to answer|refuses to answer|refuse to say
|refusal to answer|declined to answer
|declined to say|declined to state|declined to respond|decline to answer|decline to state|decline to respond|prefer not to answer
|prefers not to answer|preferred not to answer|prefer not to say|prefers not to say|preferred not to say|prefer not to respond
|prefer not to disclose|prefer not to state|prefer not to tell|prefer not say|would prefer not to say
|would prefer not to answer|would rather not say
|would rather not answer|rather not say|rather not answer|not willing to answer|unwilling to answer|does not want to answer
|do not want to answer
|don't want to answer|doesn't want to answer|don't want to say|choose not to answer|chose not to answer|do not wish to answer
|don't wish to answer
|does not wish to answer|did not want to answer|no wish to answer|won't say|would not say
|refus de repondre|refuse de repondre|a refuse|a refuse de repondre|ne veut pas repondre|ne souhaite pas repondre|souhaite ne pas repondre
|prefere ne pas repondre|prefere ne pas le dire|prefere ne pas dire|ne veux pas repondre|refus
|antwort verweigert|verweigert|verweigerung|mochte nicht antworten|will nicht antworten|mochte ich nicht sagen
|will ich nicht sagen|mochte nicht sagen
|antwort abgelehnt|keine antwort gewunscht
|rehusa contestar|rehusa responder|rehuso contestar|rehuso responder|rehusa|se rehusa|rehuso|no quiere contestar
|no quiere responder|no quiso contestar
|no quiso responder|se niega a contestar|se niega a responder|se nego a responder|prefiere no responder|prefiere no contestar
|prefiere no decir
|prefiero no responder|prefiero no contestar|prefiero no decir|prefiero no decirlo|rechaza contestar|rechaza responder
|recusou-se a responder|recusa-se a responder|recusou responder|recusa responder|nao quis responder|nao quer responder
|prefere nao responder
|prefiro nao responder|prefiro nao dizer|prefere nao dizer|recusou
|rifiuta di rispondere|si rifiuta di rispondere|rifiuto di rispondere|non vuole rispondere|non voglio rispondere|preferisco non rispondere
|preferisce non rispondere|preferisco non dirlo|ha rifiutato
|wil niet antwoorden|wil geen antwoord geven|wil niet zeggen|wil ik niet zeggen|zeg ik liever niet|liever niet zeggen
|weigert te antwoorden|geweigerd
|weigering|geen antwoord willen geven
|odmowa odpowiedzi|odmawia odpowiedzi|odmawiam odpowiedzi|odmowil odpowiedzi|odmowila odpowiedzi|nie chce odpowiadac|nie chce odpowiedziec
|wole nie odpowiadac|wole nie mowic|wole nie odpowiedziec
|отказ от ответа|отказ отвечать|отказался отвечать|отказалась отвечать|отказались отвечать|отказываюсь отвечать|отказался
|отказалась|не хочу отвечать
|предпочитаю не отвечать|не желаю отвечать|отказ от ответа на вопрос
|cevap vermeyi reddetti|cevaplamayi reddetti|yanit vermeyi reddetti|yanitlamayi reddetti|cevap vermek istemiyor|cevap vermek istemiyorum
|yanitlamak istemiyorum|yanit vermek istemiyorum|soylemek istemiyorum|cevaplamak istemiyorum|belirtmek istemiyorum
|vil ikke svare|nekter a svare|onsker ikke a svare
|رفض الاجابة|يرفض الاجابة|ارفض الاجابة|رفضت الاجابة|افضل عدم الاجابة|لا اريد الاجابة|امتنع عن الاجابة
|拒绝回答|拒答|不愿回答|不愿意回答|不想回答|不便回答|不想说|不愿透露|拒绝作答
|回答拒否|回答を拒否|回答したくない|答えたくない|答えたくありません|拒否した
|응답거절|응답 거절|답변거절|답변 거절|응답거부|응답 거부|답변거부|답변 거부|대답하고 싶지 않음|말하고 싶지 않음|대답 거절""",
    "dont_know": """
n.s.|n. s.
|do not know|don't know|dont know|does not know|doesn't know|did not know|didn't know|don't know enough|do not know enough
|don't know yet|do not know yet
|don't know exactly|cannot say|can't say|can not say|cannot choose|can't choose|can not choose|unable to say|unable to choose
|hard to say|difficult to say
|it is hard to say|it's hard to say|haven't heard enough|have not heard enough|haven't heard enough to say
|don't know enough to say|d/k|d.k.|no idea
|cannot judge|can't judge
|ne sait pas|ne sais pas|sais pas|sait pas|ne peut pas dire|ne peut pas choisir|je n'en sais rien|aucune idee
|weiss nicht|weiss ich nicht|weiss es nicht|kann ich nicht sagen|kann nicht sagen|keine ahnung|kann mich nicht entscheiden
|kann ich nicht beurteilen
|no sabe|no se|no lo se|no sabria decir|no sabe no contesta|no sabe no responde|no puede elegir
|nao sabe|nao sei|nao sabe responder|nao soube responder|nao sabe dizer
|non so|non sa|non saprei|non lo so|non sa dire|non sapere
|weet niet|weet ik niet|weet het niet|weet ik het niet|geen idee|kan niet zeggen|weet het echt niet
|nie wiem|nie wie|trudno powiedziec|nie potrafie powiedziec|nie mam pojecia
|не знаю|не знает|затрудняюсь ответить|затрудняюсь|затрудняется ответить|затруднились ответить|затруднился ответить
|затрудняюсь с ответом|трудно сказать
|не могу сказать|трудно ответить
|bilmiyorum|bilmiyor|fikrim yok|fikri yok|bilmiyorum fikrim yok|emin degilim bilmiyorum|karar veremiyorum
|vet ikke|vet ej
|لا اعرف|لا يعرف|لا ادري|لا اعلم|لا تعرف|غير قادر على الاختيار
|不知道|不清楚|无法选择|无法判断|无法回答|说不清|说不清楚|不好说|很难说|难说|不晓得|难以回答
|わからない|分からない|わかりません|分かりません|選べない
|모름|모르겠다|모르겠음|모르겠습니다|잘 모르겠다|잘모르겠다|잘 모르겠음|잘모르겠음|잘 모르겠습니다|잘모름|잘 모름|모른다
|선택할 수 없음""",
    "no_answer": """
no response given|ninr|did not take questionnaire|no post-election interview|no pre-election interview|no post interview
|no post data|interview breakoff|breakoff|skipped on web|無効回答|無効
|no answer|not answered|no response|non-response|non response|nonresponse|not stated|not ascertained|did not answer
|didn't answer|does not answer
|no answer given|no reply|no answer provided|left blank|item nonresponse|unanswered|not reported|refused or no answer
|did not respond|no answer/refused
|sans reponse|pas de reponse|non reponse|non-reponse|aucune reponse|n'a pas repondu|ne repond pas|non declare|non renseigne|non reponse
|keine angabe|keine angaben|keine antwort|ohne angabe|nicht beantwortet|k.a.|k. a.|o.a.
|no contesta|no responde|no contesto|no respondio|sin respuesta|sin contestar|sin dato|sin datos|no informa|no declara|n.c.
|sin informacion
|nao responde|nao respondeu|sem resposta|nao informado|nao declarado|nao informou|sem declaracao
|non risponde|nessuna risposta|non ha risposto|mancata risposta|senza risposta|non indicato
|geen antwoord|niet ingevuld|geen opgave|onbeantwoord|niet beantwoord|g.a.
|brak odpowiedzi|nie odpowiedzial|nie odpowiedziala|bez odpowiedzi|nie udzielono odpowiedzi
|нет ответа|без ответа|не ответил|не ответила|не ответили|не указано|не указал|нет данных
|cevap yok|yanit yok|cevapsiz|yanitsiz|cevap vermedi|yanit vermedi|cevap verilmedi|cevaplanmadi
|ubesvart|ikke svar|ikke besvart
|لا اجابة|بدون اجابة|لا جواب|لم يجب|لا رد|دون اجابة|لا توجد اجابة|بلا اجابة
|未回答|未填答|未填|无应答|没有回答|不回答|漏答|无回答|未作答|无答案|没回答
|無回答|回答なし|回答無し|無記入|未記入
|무응답|응답없음|응답 없음|미응답|답변없음|답변 없음""",
    "not_applicable": """
not applicable|non applicable|non-applicable|inapplicable|inap|inapp|n/a|n.a.|n.a|n.ap.|n. a.|does not apply|doesn't apply|do not apply
|question does not apply|valid skip|legitimate skip|logical skip|skipped|not in universe|out of universe|legitimately skipped
|sans objet|ne s'applique pas|non concerne|pas concerne|non concernee|inapplicable
|nicht zutreffend|entfallt|nicht anwendbar|filter nicht zutreffend
|no aplica|no aplicable|no procede|no corresponde|inaplicable|no se aplica
|nao se aplica|nao aplicavel|nao aplica|nao e aplicavel
|non applicabile|non pertinente|non si applica
|niet van toepassing|nvt|n.v.t.|niet toepasselijk
|nie dotyczy|nie ma zastosowania
|не применимо|неприменимо|не относится|не подлежит|вопрос не применим
|uygulanamaz|gecerli degil|ilgili degil|uygulanmaz
|ikke relevant|ikke aktuelt
|لا ينطبق|غير منطبق|لا تنطبق|غير قابل للتطبيق
|不适用|跳问|跳答|不适合
|非該当|該当なし|該当しない|対象外|非対象
|해당없음|해당 없음|비해당|해당사항 없음|해당사항없음|해당되지 않음|비대상""",
    "not_asked": """
item not administered|not administered in this form
|not asked|question not asked|not administered|not fielded|question was not asked|not asked in this survey
|not asked in this country|not asked in this wave
|non posee|question non posee|non demande|question pas posee|pas demande
|nicht gefragt|nicht erhoben|frage nicht gestellt|nicht abgefragt
|no preguntado|no se pregunto|no se pregunta|pregunta no realizada|no preguntada|no fue preguntado
|nao perguntado|nao perguntada|nao foi perguntado|pergunta nao feita
|non chiesto|non rilevato|domanda non posta|non richiesto
|niet gevraagd|vraag niet gesteld
|nie pytano|nie zadano pytania|nie zadano
|не задавался|вопрос не задавался|не спрашивали|не задавали|вопрос не задавали
|sorulmadi|soru sorulmadi
|ikke spurt
|لم يسال|لم تسال|لم يطرح السؤال|سؤال لم يطرح
|未问|未提问|没有询问|未询问|没有问
|未質問|質問せず|質問なし
|질문하지 않음|미질문|질문 안함""",
    "other": """
not coded|not codeable|not codable|uncodeable|uncodable|technical error|blank - data missing
|missing|missing value|missing values|missing data|data missing|system missing|system-missing|sysmis|sysmiss|user missing
|user-missing|missing answer
|manquant|valeur manquante|valeurs manquantes|donnee manquante|donnees manquantes
|fehlend|fehlender wert|fehlende werte|fehlende angabe|fehlt
|perdido|perdidos|valor perdido|valores perdidos|dato perdido|datos perdidos|valor faltante|dato faltante|faltante
|valor ausente|dados ausentes|dado ausente|omisso|valor omisso
|mancante|valore mancante|valori mancanti|dato mancante|dati mancanti
|ontbrekend|ontbrekende waarde|ontbrekende waarden|ontbreekt
|brak danych|braki danych
|пропуск|пропущено|пропущенное значение|пропущенные значения|отсутствует
|kayip|kayip deger|kayip veri|eksik veri|eksik deger
|mangler|manglende
|مفقود|قيمة مفقودة|بيانات مفقودة|قيم مفقودة
|缺失|缺失值|数据缺失|缺省
|欠損|欠損値|欠測
|결측|결측값|결측치""",
}

# Abbreviations, which say so where they stand alone or beside one another ("NS/NR", "DK, NA").
ABBREVIATIONS = {
    "refused": "ref|rf|rehusa|rfsd",
    "dont_know": "dk|ns|nsp|dnk|ks|wn|nz",
    "no_answer": "na|nr|nc|np|ka|no|sr|n/r|n/c|n/s",
    "not_applicable": "iap|nap|niu|dna|n/ap|nvt",
    "not_asked": "",
    "other": "",
}
ONLY_BESIDE = "no|np|ref|rf|nz|wn|ks|ka|sr"  # abbreviations that are a word or a name as well: they count beside another one alone

# Words that are an answer as well ("Declined" in a list of trends, "Refuse" beside "Accept"): where their code stands decides.
DOUBTFUL = {
    "refused": """
rf|ref|refuse|refuses|declined|decline|rechaza|rechazo|rifiuta|rifiuto|recusa|weigert|odmowa|отказ|reddetti|رفض|يرفض|拒绝|拒否
|거절|거부|refusee?
|privat|no comment""",
    "dont_know": """
not sure|unsure|uncertain|undecided|no opinion|don't remember|do not remember|can't remember|cannot remember|don't recall
|do not recall|unknown|sans opinion
|sin opinion|no recuerda|keine meinung|unbekannt|geen mening|sem opiniao|nessuna opinione|brak zdania|kararsiz|知らない|不确定
|没有意见|どちらともわからない|의견없음""",
    "no_answer": "blank|en blanco|blanc|bianca|不明|missing answer sheet|nie podano|ka|no data",
    "not_applicable": """
trifft nicht zu|none applicable|not relevant|not available|uygun degil|해당 안됨|not eligible|skip|np|no applicable""",
    "not_asked": "not included|not available in this survey",
    "other": "ausente|brak|eksik|invalid|spoilt|spoiled|multiple answers|other missing|absent|ns|no code",
}

# What only tells interviewers how to treat an answer: it is left off, in brackets or before a colon.
ANNOTATIONS = """
vol|volunteered|if volunteered|volunteered only|spontaneous|spont|spontaneously|do not read|do not read out|do not read aloud
|don't read|don't read out|dnr
|not read|not read out|do not prompt|not prompted|do not show|interviewer do not read|hidden|no leer|no lea|esp|espontaneo
|espontanea|espontaneamente
|no leer en voz alta|ne pas lire|ne pas citer|spontane|spontanement|nicht vorlesen|spontan|nao ler|espontaneo|nao estimular
|non leggere|spontaneo|spontanea
|non suggerire|niet voorlezen|spontaan|niet oplezen|nie czytac|spontanicznie|не зачитывать|не читать|спонтанно|okumayin
|okumayiniz|لا تقرا|لا يقرا
|不读出|不要读出|不提示|読み上げない|읽지 말 것|읽지 마시오|les ikke opp"""
