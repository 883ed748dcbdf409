"""Types inferred from labels, against those written by hand: every codebook that ships, and lists of real files."""

from __future__ import annotations

import pytest

import surveysim as ss
from surveysim.codebook.option_order import inferred_type

MOST_WRONG = 15  # of more than 250 different lists of three or more options

# Labels of real questions, as the General Social Survey 2016 and the European Social Survey 9 write them, with the type written by hand.
ORDINAL = """
STRONGLY SUPPORT PREF|SUPPORT PREF|OPPOSE PREF|STRONGLY OPPOSE PREF
18-30|31-40|41-50|51-60|61-
NEVER|LT ONCE A YEAR|ONCE A YEAR|SEVRL TIMES A YR|ONCE A MONTH|2-3X A MONTH|NRLY EVERY WEEK|EVERY WEEK|MORE THN ONCE WK
QUITE OFTEN|NOW AND THEN|ALMOST NEVER
LOWER CLASS|WORKING CLASS|MIDDLE CLASS|UPPER CLASS
NOT AT ALL CLOSE|2|3|4|NEITHER ONE OR THE OTHER|6|7|8|VERY CLOSE
GOOD|FAIR|POOR
A GREAT DEAL|ONLY SOME|HARDLY ANY
TOO HARSH|ABOUT RIGHT|NOT HARSH ENOUGH
LT HIGH SCHOOL|HIGH SCHOOL|JUNIOR COLLEGE|BACHELOR|GRADUATE
VERY EASY|SOMEWHAT EASY|SOMEWHAT DIFFICULT|VERY DIFFICULT
GOVT REDUCE DIFF|2|3|4|5|6|NO GOVT ACTION
BETTER|STAYED SAME|WORSE
FAR BELOW AVERAGE|BELOW AVERAGE|AVERAGE|ABOVE AVERAGE|FAR ABOVE AVERAGE
EXTREMELY DANGEROUS|VERY DANGEROUS|SOMEWHAT DANGEROUS|NOT VERY DANGEROUS|NOT DANGEROUS AT ALL
VERY HAPPY|PRETTY HAPPY|NOT TOO HAPPY
EXCELLENT|GOOD|FAIR|POOR
GOVT HELP BLKS|2|AGREE WITH BOTH|4|NO SPECIAL TREATMENT
MOST IMPORTANT|2ND IMPORTANT|3RD IMPORTANT|4TH IMPORTANT|LEAST IMPORTANT
Definitely false|Mostly false|Somewhat false|Slightly false|Slightly true|Somewhat true|Mostly true|Definitely true
INCREASED A LOT|INCREASED A LITTLE|REMAIN THE SAME AS IT IS|REDUCED A LITTLE|REDUCED A LOT
EVERYDAY|FEW TIMES A WEEK|ONCE A WEEK|LESS THAN ONCE WK|NEVER
SEVERAL TIMES A DAY|ONCE A DAY|SEVERAL TIMES A WEEK|ONCE A WEEK|LT ONCE A WEEK|NEVER
VERY UNATTRACTIVE|UNATTRACTIVE|ABOUT AVERAGE|ATTRACTIVE|VERY ATTRACTIVE
ALWAYS|SOMETIMES|ALMOST NEVER
SATISFIED|MORE OR LESS|NOT AT ALL SAT
ALMOST DAILY|SEV TIMES A WEEK|SEV TIMES A MNTH|ONCE A MONTH|SEV TIMES A YEAR|ONCE A YEAR|NEVER
TOO HIGH|ABOUT RIGHT|TOO LOW
Never|Only occasionally|A few times a week|Most days|Every day
Very close|Quite close|Not close|Not at all close
Yes a lot|Yes to some extent|No
Strongly disapprove|Disapprove|Neither approve nor disapprove|Approve|Strongly approve
A big city|Suburbs or outskirts of big city|Town or small city|Country village|Farm or home in countryside
Under 10|10 to 24|25 to 99|100 to 499|500 or more
J - 1st decile|R - 2nd decile|C - 3rd decile|M - 4th decile|F - 5th decile|S - 6th decile
Low, extremely unfair|Low, very unfair|Low, slightly unfair|Fair|High, slightly unfair|High, very unfair|High, extremely unfair
Not much or no influence|Some influence|Quite a lot of influence|A great deal of influence
Does not apply at all|1|2|3|4|5|6|7|8|9|Applies completely
Allow many|Allow some|Allow a few|Allow none
Stimme voll zu|Stimme eher zu|Stimme eher nicht zu|Stimme gar nicht zu
Muy de acuerdo|De acuerdo|En desacuerdo|Muy en desacuerdo
Tout à fait d’accord|Plutôt d’accord|Plutôt pas d’accord|Pas du tout d’accord
Concordo totalmente|Concordo em parte|Discordo em parte|Discordo totalmente
Molto|Abbastanza|Poco|Per niente
Helemaal mee eens|Eens|Oneens|Helemaal mee oneens
Zdecydowanie tak|Raczej tak|Raczej nie|Zdecydowanie nie
Полностью согласен|Скорее согласен|Скорее не согласен|Совершенно не согласен
Kesinlikle katılıyorum|Katılıyorum|Katılmıyorum|Kesinlikle katılmıyorum
موافق بشدة|موافق|غير موافق|غير موافق بشدة
非常同意|同意|不同意|非常不同意
そう思う|どちらかといえばそう思う|どちらかといえばそう思わない|そう思わない
매우 그렇다|그런 편이다|그렇지 않은 편이다|전혀 그렇지 않다
"""
NOMINAL = """
BALLOT A|BALLOT B|BALLOT C|BALLOT D
WORD OF GOD|INSPIRED WORD|BOOK OF FABLES|OTHER
JANUARY|FEBRUARY|MARCH|APRIL|MAY|JUNE
FRIENDLY,INTERESTED|COOPERATIVE|RESTLESS,IMPATIENT|HOSTILE|OTHER
Yes|No|Did not work or did not seek
TAKE ADVANTAGE|FAIR|DEPENDS
HARD WORK|BOTH EQUALLY|LUCK OR HELP|OTHER
The media|Trade unions|Businesses, banks and industry|Religious organizations|The military/army|Organized Crime
RESP|SPOUSE|BOTH|NEITHER
Obama|Romney|Other
WHITE|BLACK|HISPANIC|ASIAN|TWO OR MORE RACE
MARRIED|WIDOWED|DIVORCED|SEPARATED|NEVER MARRIED
IN-PERSON|OVER THE PHONE|COMBINATION IN-PERSON/PHONE
NO PHONE|PHONE IN HOME|PHONE ELSEWHERE|CELLPHONE
Government|Private companies/for-profit|Non-profit organizations|Religious organizations|Family, relatives or friends
WHITE|BLACK|OTHER
FOREIGN|NEW ENGLAND|MIDDLE ATLANTIC|E. NOR. CENTRAL|W. NOR. CENTRAL|SOUTH ATLANTIC|MOUNTAIN|PACIFIC
FAVOR|OPPOSE|DEPENDS
Gay, lesbian, or homosexual|Bisexual|Heterosexual or straight
CAN TRUST|CANNOT TRUST|DEPENDS
R BELONGS|SPOUSE BELONGS|R AND SPOUSE BELONG|NEITHER BELONGS
Voted|Did not vote|Ineligible
WORKING FULLTIME|WORKING PARTTIME|TEMP NOT WORKING|UNEMPL, LAID OFF|RETIRED|SCHOOL|KEEPING HOUSE|OTHER
ARIES|TAURUS|GEMINI|CANCER|LEO|VIRGO|LIBRA|SCORPIO
PROTESTANT|CATHOLIC|JEWISH|NONE|OTHER
Yes|No|Not eligible to vote
SPÖ|ÖVP|FPÖ|PILZ|Grüne|KPÖ|NEOS|Other
Rødt|Sosialistisk Venstreparti|Arbeiderpartiet|Venstre|Kristelig Folkeparti|Senterpartiet|Høyre
Roman Catholic|Protestant|Eastern Orthodox|Other Christian denomination|Jewish|Islamic|Eastern religions
Legally married|In a legally registered civil union|Legally separated|Legally divorced|Widowed
Husband/wife/partner|Son/daughter|Parent|Brother/sister|Other relative|Other non-relative
Paid work|Education|Unemployed, looking for job|Permanently sick or disabled|Retired|Housework
Employee|Self-employed|Working for own family business
Unlimited|Limited|No contract
Central or local government|Other public sector|A state owned enterprise|A private firm|Self employed|Other
Wages or salaries|Income from farming|Pensions|Unemployment benefit|Income from other sources
Employee|Self-employed|Not working|Father dead/absent
Pay|Pensions|Social benefits
Group 1|Group 2|Group 3
Remain member of the European Union|Leave the European Union|Would not vote|Not eligible to vote
CDU/CSU|SPD|FDP|Bündnis 90/Die Grünen|Die Linke|AfD|Andere Partei
Católica|Evangélica|Judía|Ninguna|Otra
Casado|Soltero|Viudo|Divorciado
Catholique|Protestant|Musulman|Juif|Autre
Kawaler/panna|Żonaty/mężatka|Wdowiec/wdowa|Rozwiedziony
Православие|Ислам|Буддизм|Другое
汉族|蒙古族|满族|回族|其他
自民党|立憲民主党|公明党|共産党|その他
서울|부산|대구|인천|광주
القاهرة|الإسكندرية|الجيزة|أخرى
"""
WRITTEN_BY_HAND = {
    tuple(line.split("|")): kind for kind, text in (("ordinal", ORDINAL), ("nominal", NOMINAL)) for line in text.strip().splitlines()
}


def in_the_codebooks() -> dict[tuple[str, ...], str]:
    questions = [question for name in ss.list_codebooks() for question in ss.load_codebook(name).questions.values()]
    return {question.labels: question.type for question in questions if len(question.options) > 2}


def test_at_most_a_few_of_two_hundred_types_and_more_are_wrong() -> None:
    known = in_the_codebooks()
    wrong = {labels: kind for labels, kind in known.items() if inferred_type(labels)[0] != kind}
    assert len(known) > 250
    assert len(wrong) <= MOST_WRONG, wrong


def test_types_of_real_lists_written_by_hand() -> None:
    wrong = {labels: kind for labels, kind in WRITTEN_BY_HAND.items() if inferred_type(labels)[0] != kind}
    assert len(WRITTEN_BY_HAND) > 95
    assert len(wrong) <= 2, wrong


def test_parties_are_a_list_and_how_close_one_is_to_them_is_a_scale() -> None:
    assert inferred_type(["Labour", "Conservative", "Liberal Democrat", "Green"]) == ("nominal", "parties")
    assert inferred_type(["Left wing party", "Right wing party", "Centre party"]) == ("nominal", "parties")
    sides = ["Strong Democrat", "Weak Democrat", "Independent", "Weak Republican", "Strong Republican"]
    assert inferred_type(sides) == ("ordinal", "words of degree")
    assert inferred_type(["Extremely liberal", "Liberal", "Moderate", "Conservative"])[0] == "ordinal"


@pytest.mark.parametrize("last", ["Other", "Other party", "None of these", "Something else", "Autre", "Otro", "其他"])
def test_a_list_that_ends_in_other_is_nominal(last: str) -> None:
    assert inferred_type(["Very good party", "Good party", "Bad party", last])[0] == "nominal"


def test_two_options_are_no_matter_and_have_no_reason() -> None:
    assert inferred_type(["Agree", "Disagree"]) == ("nominal", "")
