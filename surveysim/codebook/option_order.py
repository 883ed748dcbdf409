"""Whether the options of a question have an order, inferred from their labels in fourteen languages: steps of a scale, or a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from surveysim.codebook.missing_labels import bare_label, plain_text

# Words of options without an order, whatever stands beside them.
_LIST = re.compile(
    "|".join(
        plain_text(word)
        for word in (
            r"^others?\b", r"\bother$", r"\bother (party|religion|answer|race|candidate|country|reason)\b",
            r"^none of (these|the above)", r"^another (party|answer|country|way)\b", r"^something else", r"^depends\b",
            r"^it depends", r"^(some|any) other\b", r"^autre", r"^andere", r"^sonstige", r"^otr[oa]s?\b", r"^outr[oa]s?\b",
            r"^altr[oai]\b", r"^inn[eya]", r"^друг", r"^ино", r"^diger\b",
            "^اخر", "^其他", "^其它", "^その他", "^기타", r"^ninguno de", r"^aucun", r"^keine davon", r"^multiple\b",
        )
    )
)  # fmt: skip
# Words of degree, frequency, assent, amount, rank: two of them among the labels make a scale.
_SCALE = re.compile(
    "|".join(
        plain_text(word)
        for word in (
            r"\b(strongly|somewhat|completely|totally|fully|extremely|moderately|slightly|fairly|quite|rather|very|mostly|partly|"
            r"hardly|a little|a lot|not at all|not much|not very|not too)\b",
            r"\b(a great deal|great deal|a good deal|good amount|moderate amount|some|none at all|at all|just a little|"
            r"quite a lot|only a little|a bit|not really|definitely|probably|certainly)\b",
            r"\b(always|often|usually|sometimes|seldom|rarely|never|occasionally|frequently|daily|weekly|monthly|every (day|week|"
            r"month)|times? (a|per|in) (day|week|month|year|lifetime))\b",
            r"\b(once|twice|several|at least|less (often|than)|more (often|than|or less)|about (the )?same|nearly|almost|"
            r"most of the time|half the time|some of the time|just about always)\b",
            r"\b(agree|disagree|favou?r|oppose|approve|disapprove|support|likely|unlikely|satisfied|dissatisfied|important|"
            r"unimportant|interested|happy|unhappy|worried|concerned|proud|close)\b",
            r"\b(better|worse|more|less|higher|lower|increase[ds]?|decrease[ds]?|reduced?|expand|too (much|little|many|few|high|"
            r"low|far|strong)|about right|right amount|stay|kept? (the )?same)\b",
            r"\b(excellent|very good|good|fair|poor|bad|very bad|best|worst|easy|difficult|easier|harder|serious|risky|dangerous|"
            r"safe|unsafe|trust|confidence|confident|justified|wrong)\b",
            r"\b(low|medium|middle|high|upper|lower|lowest|highest|small|large|big|liberal|conservative|left|right|moderate|top|"
            r"bottom|below|above|average|under|over|up to|or older|or more)\b",
            r"\b(primary|secondary|tertiary|bachelor|graduate|high school|university|college|degree|elementary|less than|junior|"
            r"post-?graduate|doctorate|isced|doctoral|lt high school)\b",
            r"\b(all|most|half|few|fewer|fewest|many|none|entirely|mainly|no one|nobody|everyone|everybody|raised?|lower(ed)?|"
            r"weaker|stronger|strong|weak|lean(s|ing)?|same|maximum|minimum|full|partial|total)\b",
            r"\b(village|suburb|suburbs|town|small city|big city|countryside|outskirts)\b",
            r"\b(one|two|three|four|five) or (more|fewer|less)\b",
            r"\b(enough|true|false|accurate|well|badly|like me|dislike|familiar|aware|warm|cold|fast|slow|responsible|"
            r"responsibility|necessary|effective|harmful|beneficial|benefits?|harm)\b",
            r"tout a fait|plutot|pas du tout|pas tres|\btres\b|\bpeu\b|\bassez\b|beaucoup|jamais|souvent|parfois|rarement|"
            r"toujours|d'accord|mieux|pire|\bplus\b|\bmoins\b|chaque|bonne?\b|mauvais",
            r"\bsehr\b|\bziemlich\b|\beher\b|\bvoll\b|uberhaupt|\bgar nicht\b|\bstimm|zustimm|\bimmer\b|\boft\b|\bmanchmal\b|"
            r"\bselten\b|\bnie\b|\bteils\b|besser|schlechter|wichtig|taglich|\bgut\b|schlecht|\btrifft\b",
            r"\bmuy\b|\bbastante\b|\balgo\b|\bpoco\b|\bnada\b|\bmucho\b|acuerdo|siempre|nunca|a veces|casi|mejor|peor|\bmas\b|"
            r"\bmenos\b|\bbuen[ao]?\b|\bmal[ao]?\b|regular|satisfech|probable|seguro|totalmente",
            r"\bmuito\b|\bpouco\b|concord|discord|sempre|as vezes|raramente|melhor|\bpior\b|\bmais\b|satisfeit|\bnada\b|"
            r"\bbo[am]\b|\bruim\b|otim|pessim|totalmente|em parte",
            r"\bmolto\b|\babbastanza\b|\bpoco\b|per niente|\bd'accordo\b|sempre|spesso|qualche volta|\bmai\b|meglio|peggio|"
            r"\bpiu\b|\bmeno\b|soddisfatt|completamente",
            r"\bheel\b|\bzeer\b|\btamelijk\b|\bhelemaal\b|\beens\b|\boneens\b|altijd|vaak|soms|zelden|nooit|\bbeter\b|slechter|"
            r"\bmeer\b|\bminder\b|tevreden|belangrijk|\bgoed\b|slecht",
            r"\bbardzo\b|\braczej\b|zdecydowanie|\bwcale\b|zgadzam|zawsze|czesto|czasami|rzadko|nigdy|lepiej|gorzej|\bmniej\b|"
            r"\bwiecej\b|zadowolon|dobrze|\bzle\b|ufam",
            r"полностью|скорее|совсем|соглас|очень|всегда|часто|иногда|редко|никогда|лучше|хуже|больше|меньше|доволен|удовлетвор|"
            r"хорош|плох|довер|важно|безусловно|совершенно|определенно",
            r"kesinlikle|katiliyorum|katilmiyorum|\bcok\b|\bhic\b|\bbiraz\b|oldukca|her zaman|\bsik\b|bazen|nadiren|asla|"
            r"daha (iyi|kotu|cok|az)|memnun|onemli|guven|\biyi\b|kotu",
            r"بشدة|موافق|جدا|دائما|احيانا|نادرا|ابدا|كثير|قليل|افضل|اسوا|تماما|الي حد|راض|مهم|جيد|سيء|اثق",
            r"非常|比较|不太|一点|很|完全|同意|经常|总是|有时|很少|从不|从来|更|满意|信任|重要|一般|好|差|偶尔|每天|每周|每月|"
            r"以上|以下|高|低|至少|不到|绝大",
            r"とても|やや|あまり|まったく|全く|そう思|賛成|反対|いつも|よく|時々|ときどき|ほとんど|満足|不満|重要|信頼|非常|"
            r"かなり|少し|どちらかと|良い|悪い",
            r"매우|다소|별로|전혀|찬성|반대|동의|항상|자주|가끔|거의|만족|불만|중요|신뢰|보통|조금|아주|약간|그렇다|그렇지|좋|"
            r"나쁘|높|낮|이상|이하|미만",
        )
    )
)  # fmt: skip
_NUMBER = re.compile(
    r"^[<>≤≥$€£¥-]*\s*\d[\d.,]*\s*($|-|to\b|or\b|%|k\b|years?|jahre|ans\b|anos|岁|歳|세)|\b\d+(st|nd|rd|th)\b|^(under|over|up to|"
    r"less than|more than) \D?\d"
)
# Names of parties, some of which are words of degree as well ("Conservative", "Left wing party").
_PARTY = re.compile(
    r"\b(party|parti|partei|partido|partito|partij)\b|^(labou?r|liberal democrats?|lib dems?|greens?|democrats?|republicans?)$"
)
_SIDE_TAKEN = re.compile(r"\b(strong|weak|lean|leans|leaning|closer)\b|not (very|so) strong")
_FEW_DEGREES = 2


def inferred_type(labels: Sequence[str]) -> tuple[str, str]:
    """Return "ordinal" or "nominal", and for which reason; the reason is empty where two options make it no matter.

    A list ends in "Other", "None of these", or its labels hold no words of degree. A scale has numbers for most of its steps,
    words of degree in half of them, or ends that are described with numbers between.

    Examples
    --------
    >>> from surveysim.codebook.option_order import inferred_type
    >>> inferred_type(["Agree strongly", "Agree", "Disagree"])[0], inferred_type(["Catholic", "Protestant", "Other"])[0]
    ('ordinal', 'nominal')
    """
    return _type_of(tuple(labels))


@lru_cache(maxsize=1024)
def _type_of(labels: tuple[str, ...]) -> tuple[str, str]:
    texts = [bare_label(label) or plain_text(label) for label in labels]
    if len(texts) < 3:
        return "nominal", ""
    bare_numbers = sum(text.isdecimal() or label.strip().isdecimal() for text, label in zip(texts, labels, strict=True))
    numbers = sum(bool(_NUMBER.search(plain_text(label))) for label in labels)
    degrees = sum(bool(_SCALE.search(text)) for text in texts)
    if bare_numbers >= max(len(texts) - 3, 1):
        return "ordinal", "numbers between the ends"
    listed = [text for text in texts if _LIST.search(text)]
    if listed:
        return "nominal", f"{listed[-1]!r} is no step of a scale"
    if numbers * 2 >= len(texts):
        return "ordinal", "amounts"
    if sum(bool(_PARTY.search(text)) for text in texts) > 1 and not any(_SIDE_TAKEN.search(text) for text in texts):
        return "nominal", "parties"
    if degrees >= _FEW_DEGREES and degrees * 2 >= len(texts):
        return "ordinal", "words of degree"
    return "nominal", "no words of degree"
