"""DDI files in the layout of each archive's export, all of one made-up study, and the study's data.

No archive's file is here: their metadata are not ours to ship. Each layout was written after the archive's exports and the
documentation of the DDI version that it uses: element order, attributes, how codes, missing markers and languages are written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

TRUST = "On a scale from 0 to 10, how much do you trust the country's parliament?"
VOTE = "Which party did you vote for in that election?"
WORDING = {"trust": TRUST, "vote": VOTE}
OPTIONS = {1: "Café party", 2: "Green list", 3: "Farmers"}

_ESS = """<?xml version="1.0" encoding="UTF-8"?>
<codeBook xmlns="ddi:codebook:2_5" version="2.5" xml:lang="en">
  <docDscr><citation><titlStmt><titl>DDI of the study</titl></titlStmt></citation></docDscr>
  <stdyDscr>
    <citation>
      <titlStmt><titl>Made-up Social Survey, round 1</titl><IDNo agency="DOI">10.12345/MADE-UP1</IDNo></titlStmt>
      <prodStmt><producer>Made-up Archive</producer></prodStmt>
    </citation>
    <stdyInfo><sumDscr><collDate date="2023-05-01" event="start"/><nation abbr="NO">Norway</nation></sumDscr></stdyInfo>
  </stdyDscr>
  <fileDscr ID="F1"><fileTxt><fileName>study.sav</fileName></fileTxt></fileDscr>
  <dataDscr>
    <var ID="V1" name="idno" files="F1" intrvl="contin"><labl>Respondent's number</labl></var>
    <var ID="V2" name="pspwght" files="F1" wgt="wgt" intrvl="contin"><labl>Post-stratification weight</labl></var>
    <var ID="V3" name="trust" files="F1" wgt-var="V2" intrvl="discrete">
      <labl>Trust in parliament</labl>
      <qstn><qstnLit>On a scale from 0 to 10, how much do you trust the country's parliament?</qstnLit></qstn>
      <catgry><catValu>0</catValu><labl>No trust at all</labl></catgry>
      <catgry><catValu>10</catValu><labl>Complete trust</labl></catgry>
      <catgry missing="Y"><catValu>77</catValu><labl>Refusal</labl></catgry>
      <catgry missing="Y"><catValu>88</catValu><labl>Don't know</labl></catgry>
      <varFormat type="numeric"/>
    </var>
    <var ID="V4" name="vote" files="F1" wgt-var="V2" intrvl="discrete">
      <labl>Party voted for</labl>
      <qstn><qstnLit>Which party did you vote for in that election?</qstnLit></qstn>
      <universe>Those who voted</universe>
      <catgry><catValu>1</catValu><labl>Café party</labl></catgry>
      <catgry><catValu>2</catValu><labl>Green list</labl></catgry>
      <catgry><catValu>3</catValu><labl>Farmers</labl></catgry>
      <catgry missing="Y"><catValu>66</catValu><labl>Not applicable</labl></catgry>
      <varFormat type="numeric"/>
    </var>
    <var ID="V5" name="gndr" files="F1" wgt-var="V2">
      <labl>Gender</labl>
      <catgry><catValu>1</catValu><labl>Male</labl></catgry><catgry><catValu>2</catValu><labl>Female</labl></catgry>
      <varFormat type="numeric"/>
    </var>
    <var ID="V6" name="agea" files="F1" intrvl="contin"><labl>Age of respondent</labl><varFormat type="numeric"/></var>
  </dataDscr>
</codeBook>
"""

_GESIS = """<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><GetRecord><record><metadata>
<codeBook xmlns="ddi:codebook:2_5" version="2.5">
  <stdyDscr>
    <citation>
      <titlStmt>
        <titl xml:lang="en">Made-up Social Survey, round 1</titl><parTitl xml:lang="de">Erfundene Umfrage</parTitl>
        <IDNo agency="GESIS">ZA0000</IDNo><IDNo agency="DOI">doi:10.12345/MADE-UP1</IDNo>
      </titlStmt>
      <prodStmt><producer>Made-up Archive</producer></prodStmt>
    </citation>
    <stdyInfo><sumDscr>
      <collDate xml:lang="en" event="start" date="2023-05">05.2023</collDate><nation xml:lang="en" abbr="NO">Norway</nation>
    </sumDscr></stdyInfo>
  </stdyDscr>
  <dataDscr>
    <varGrp ID="G1" type="section" var="trust_var vote_var"><labl xml:lang="en">Politics</labl></varGrp>
    <var ID="weight_var" name="pspwght" wgt="wgt"><labl xml:lang="en">Post-stratification weight</labl></var>
    <var ID="trust_var" name="trust">
      <labl xml:lang="en">Trust in parliament</labl><labl xml:lang="de">Vertrauen: Parlament</labl>
      <qstn>
        <preQTxt xml:lang="de">Auf einer Skala von 0 bis 10:</preQTxt>
        <qstnLit xml:lang="en">On a scale from 0 to 10, how much do you trust the country's parliament?</qstnLit>
        <qstnLit xml:lang="de">Wie sehr vertrauen Sie dem Parlament?</qstnLit>
      </qstn>
      <invalrng><range min="77" max="99"/></invalrng>
      <catgry><catValu>0</catValu><labl xml:lang="en">No trust at all</labl><labl xml:lang="de">Überhaupt kein Vertrauen</labl></catgry>
      <catgry><catValu>10</catValu><labl xml:lang="en">Complete trust</labl><labl xml:lang="de">Volles Vertrauen</labl></catgry>
      <catgry><catValu>77</catValu><labl xml:lang="en">Refusal</labl><labl xml:lang="de">Verweigert</labl></catgry>
      <catgry><catValu>88</catValu><labl xml:lang="en">Don't know</labl><labl xml:lang="de">Weiß nicht</labl></catgry>
    </var>
    <var ID="vote_var" name="vote" nature="nominal">
      <labl xml:lang="en">Party voted for</labl>
      <qstn><qstnLit xml:lang="en">Which party did you vote for in that election?</qstnLit></qstn>
      <invalrng><item VALUE="66"/></invalrng>
      <universe xml:lang="en">Those who voted</universe>
      <catgry><catValu>1</catValu><labl xml:lang="en">Café party</labl></catgry>
      <catgry><catValu>2</catValu><labl xml:lang="en">Green list</labl></catgry>
      <catgry><catValu>3</catValu><labl xml:lang="en">Farmers</labl></catgry>
      <catgry><catValu>66</catValu><labl xml:lang="en">Not applicable</labl></catgry>
    </var>
    <var ID="g" name="gndr"><labl xml:lang="en">Gender</labl>
      <catgry><catValu>1</catValu><labl xml:lang="en">Male</labl></catgry>
      <catgry><catValu>2</catValu><labl xml:lang="en">Female</labl></catgry>
    </var>
    <var ID="a" name="agea"><labl xml:lang="en">Age of respondent</labl></var>
  </dataDscr>
</codeBook>
</metadata></record></GetRecord></OAI-PMH>
"""

_NADA = """<?xml version='1.0' encoding='UTF-8'?>
<codeBook version="1.2.2" ID="NOR_2023_MUSS_v01" xml-lang="en" xmlns="http://www.icpsr.umich.edu/DDI">
  <docDscr><citation><prodStmt><software version="5.0">NADA</software></prodStmt></citation></docDscr>
  <stdyDscr>
    <citation>
      <titlStmt><titl>Made-up Social Survey, round 1</titl><IDNo>NOR_2023_MUSS_v01</IDNo></titlStmt>
      <rspStmt><AuthEnty affiliation="">Made-up Archive</AuthEnty></rspStmt>
      <holdings URI="https://doi.org/10.12345/MADE-UP1"/>
    </citation>
    <stdyInfo>
      <sumDscr>
        <collDate date="2023-05" event="start" cycle=""/><collDate date="2023-07" event="end" cycle=""/>
        <nation abbr="NOR">Norway</nation><universe><![CDATA[All residents aged 15 or older]]></universe>
      </sumDscr>
    </stdyInfo>
  </stdyDscr>
  <fileDscr ID="F1" URI="F1?Name=households"><fileTxt><fileName>households.NSDstat</fileName></fileTxt></fileDscr>
  <fileDscr ID="F2" URI="F2?Name=persons"><fileTxt><fileName>persons.NSDstat</fileName></fileTxt></fileDscr>
  <dataDscr>
    <var ID="V90" name="vote" files="F1" dcml="0" intrvl="discrete"><labl><![CDATA[Household has a vote box]]></labl>
      <catgry><catValu>1</catValu><labl>Yes</labl></catgry><catgry><catValu>2</catValu><labl>No</labl></catgry>
      <varFormat type="numeric" schema="other"/>
    </var>
    <var ID="V1" name="pspwght" files="F2" dcml="4" wgt="wgt" intrvl="contin"><labl><![CDATA[Post-stratification weight]]></labl>
      <varFormat type="numeric" schema="other"/>
    </var>
    <var ID="V2" name="trust" files="F2" dcml="0" intrvl="discrete">
      <location width="2"/>
      <labl><![CDATA[Trust in parliament]]></labl>
      <qstn>
        <qstnLit><![CDATA[
          On a scale from 0 to 10,
          how much do you trust the country's parliament?
        ]]></qstnLit>
        <ivuInstr><![CDATA[Show card 3]]></ivuInstr>
      </qstn>
      <valrng><range UNITS="REAL" min="0" max="10"/></valrng>
      <sumStat type="vald">280</sumStat>
      <catgry><catValu>0</catValu><labl>No trust at all</labl><catStat type="freq">20</catStat></catgry>
      <catgry><catValu>10</catValu><labl>Complete trust</labl><catStat type="freq">9</catStat></catgry>
      <catgry><catValu>77</catValu><labl>Refusal</labl><catStat type="freq">9</catStat></catgry>
      <catgry><catValu>88</catValu><labl>Don't know</labl><catStat type="freq">9</catStat></catgry>
      <catgry missing="Y"><catValu>Sysmiss</catValu><catStat type="freq">3</catStat></catgry>
      <varFormat type="numeric" schema="other"/>
    </var>
    <var ID="V3" name="vote" files="F2" dcml="0" intrvl="discrete">
      <labl><![CDATA[Party voted for]]></labl>
      <qstn><qstnLit><![CDATA[Which party did you vote for in that election?]]></qstnLit></qstn>
      <universe clusion="I"><![CDATA[Those who voted]]></universe>
      <catgry><catValu>1</catValu><labl>Café party</labl></catgry><catgry><catValu>2</catValu><labl>Green list</labl></catgry>
      <catgry><catValu>3</catValu><labl>Farmers</labl></catgry><catgry><catValu>66</catValu><labl>Not applicable</labl></catgry>
      <varFormat type="numeric" schema="other"/>
    </var>
    <var ID="V4" name="gndr" files="F2" dcml="0" intrvl="discrete"><labl>Gender</labl>
      <catgry><catValu>1</catValu><labl>Male</labl></catgry><catgry><catValu>2</catValu><labl>Female</labl></catgry>
      <varFormat type="numeric" schema="other"/>
    </var>
    <var ID="V5" name="agea" files="F2" dcml="0" intrvl="contin"><labl>Age of respondent</labl><varFormat type="numeric"/></var>
  </dataDscr>
</codeBook>
"""

_ICPSR = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE codeBook SYSTEM "http://www.icpsr.umich.edu/DDI/Version2-0.dtd">
<codeBook version="2.0">
  <stdyDscr>
    <citation>
      <titlStmt><titl>Made-up Social Survey, round 1</titl><IDNo agency="ICPSR">0000</IDNo></titlStmt>
      <prodStmt><producer>Made-up Archive</producer></prodStmt>
      <biblCit>Made-up Archive. Made-up Social Survey. https://doi.org/10.12345/MADE-UP1</biblCit>
    </citation>
    <stdyInfo><sumDscr><timePrd event="single" date="2023">2023</timePrd><nation>Norway</nation></sumDscr></stdyInfo>
  </stdyDscr>
  <dataDscr>
    <var ID="V0" name="PSPWGHT" wgt="wgt"><labl>POST-STRATIFICATION WEIGHT</labl></var>
    <var ID="V1" name="TRUST" wgt-var="V0" intrvl="discrete">
      <location StartPos="1" EndPos="2" width="2" RecSegNo="1"/>
      <labl>TRUST IN PARLIAMENT</labl>
      <qstn>
        <qstnLit>On a scale from 0 to 10, how much do you trust the country's parliament?</qstnLit>
        <postQTxt>0 No trust at all ... 10 Complete trust</postQTxt>
      </qstn>
      <invalrng><item UNITS="INT" VALUE="77"/><item UNITS="INT" VALUE="88"/></invalrng>
      <catgry missing="N"><catValu>0</catValu><labl>No trust at all</labl><catStat type="freq">20</catStat></catgry>
      <catgry missing="N"><catValu>10</catValu><labl>Complete trust</labl></catgry>
      <catgry missing="Y" missType="inap"><catValu>77</catValu><labl>Refusal</labl></catgry>
      <catgry missing="Y"><catValu>88</catValu><labl>Don't know</labl></catgry>
      <catgry missing="Y"><catValu>.</catValu></catgry>
      <varFormat type="numeric" schema="SAS"/>
    </var>
    <var ID="V2" name="VOTE" wgt-var="V0" intrvl="discrete">
      <labl>PARTY VOTED FOR</labl>
      <qstn><qstnLit>Which party did you vote for in that election?</qstnLit></qstn>
      <universe>Those who voted</universe>
      <catgry><catValu>1</catValu><labl>Caf&eacute; party</labl></catgry>
      <catgry><catValu>2</catValu><labl>Green list</labl></catgry>
      <catgry><catValu>3</catValu><labl>Farmers</labl></catgry>
      <catgry missing="Y"><catValu>66</catValu><labl>Not applicable</labl></catgry>
      <varFormat type="numeric" schema="SAS"/>
    </var>
    <var ID="V3" name="GNDR"><labl>GENDER</labl>
      <catgry><catValu>1</catValu><labl>Male</labl></catgry><catgry><catValu>2</catValu><labl>Female</labl></catgry>
      <varFormat type="numeric"/>
    </var>
    <var ID="V4" name="AGEA"><labl>AGE OF RESPONDENT</labl><varFormat type="numeric"/></var>
  </dataDscr>
</codeBook>
"""

_IPUMS = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="ipums-ddi-xslt.xsl"?>
<codeBook ID="ddi2-made-up" version="2.5" xmlns="ddi:codebook:2_5" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="ddi:codebook:2_5 http://www.ddialliance.org/Specification/DDI-Codebook/2.5/XMLSchema/codebook.xsd">
  <stdyDscr>
    <citation>
      <titlStmt><titl>Made-up Social Survey, round 1</titl></titlStmt>
      <prodStmt><producer abbr="MADE">Made-up Archive</producer></prodStmt>
      <serStmt><serName abbr="made">Made-up</serName><serInfo>DOI:10.12345/MADE-UP1</serInfo></serStmt>
    </citation>
    <stdyInfo>
      <sumDscr ID="sdatref-1"><timePrd date="2023" event="single">2023</timePrd><nation abbr="no">Norway</nation></sumDscr>
    </stdyInfo>
    <dataAccs><useStmt><conditions><![CDATA[No fees.]]></conditions></useStmt></dataAccs>
  </stdyDscr>
  <fileDscr ID="ExtractData"><fileTxt><fileName>study.dat</fileName><fileStrc type="rectangular"/></fileTxt></fileDscr>
  <dataDscr>
    <var ID="PSPWGHT" dcml="4" files="ExtractData" intrvl="contin" name="PSPWGHT" wgt="wgt"><labl>Post-stratification weight</labl>
      <codInstr><![CDATA[PSPWGHT has 4 implied decimals.]]></codInstr><varFormat schema="other" type="numeric"/>
    </var>
    <var ID="TRUST" dcml="0" files="ExtractData" intrvl="discrete" name="TRUST">
      <location EndPos="2" StartPos="1" width="2"/>
      <labl>Trust in parliament</labl>
      <qstn><qstnLit>On a scale from 0 to 10, how much do you trust the country's parliament?</qstnLit></qstn>
      <txt><![CDATA[TRUST reports trust in the national parliament.]]></txt>
      <catgry><catValu>00</catValu><labl>No trust at all</labl></catgry>
      <catgry><catValu>10</catValu><labl>Complete trust</labl></catgry>
      <catgry><catValu>77</catValu><labl>Refusal</labl></catgry>
      <catgry><catValu>88</catValu><labl>Don't know</labl></catgry>
      <concept vocab="IPUMS">Politics -- PERSON</concept>
      <varFormat schema="other" type="numeric"/>
    </var>
    <var ID="VOTE" dcml="0" files="ExtractData" intrvl="discrete" name="VOTE">
      <labl>Party voted for</labl>
      <qstn><qstnLit>Which party did you vote for in that election?</qstnLit></qstn>
      <universe>Those who voted</universe>
      <catgry><catValu>01</catValu><labl>Café party</labl></catgry>
      <catgry><catValu>02</catValu><labl>Green list</labl></catgry>
      <catgry><catValu>03</catValu><labl>Farmers</labl></catgry>
      <catgry><catValu>66</catValu><labl>NIU (not in universe)</labl></catgry>
      <varFormat schema="other" type="numeric"/>
    </var>
    <var ID="GNDR" files="ExtractData" name="GNDR"><labl>Gender</labl>
      <catgry><catValu>1</catValu><labl>Male</labl></catgry><catgry><catValu>2</catValu><labl>Female</labl></catgry>
      <varFormat schema="other" type="numeric"/>
    </var>
    <var ID="AGEA" files="ExtractData" name="AGEA" intrvl="contin"><labl>Age of respondent</labl><varFormat type="numeric"/></var>
  </dataDscr>
</codeBook>
"""

LAYOUTS = {"ESS": _ESS, "GESIS": _GESIS, "NADA": _NADA, "ICPSR": _ICPSR, "IPUMS": _IPUMS}


def study_file(folder: Path, layout: str) -> Path:
    """Write the study's DDI file in an archive's layout."""
    path = folder / f"{layout.lower()}.xml"
    path.write_text(LAYOUTS[layout], encoding="utf-8")
    return path


def study_data() -> pd.DataFrame:
    """Return the study's respondents: codes alone, as a file without labels has them."""
    draw = np.random.default_rng(0)
    n = 200
    return pd.DataFrame(
        {
            "pspwght": draw.gamma(3, 0.4, n).round(4),
            "trust": draw.choice([*range(11), 77, 88], n),
            "vote": draw.choice([1, 2, 3, 66], n),
            "gndr": draw.choice([1, 2], n),
            "agea": draw.integers(16, 90, n),
        }
    )
