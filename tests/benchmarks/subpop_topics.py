"""Topics of SubPOP's 133 GSS questions, grouped by hand by what they ask about; a question's topic is the one that lists its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import surveysim as ss

TOPICS = {
    "national spending": "natspac natenvir natheal natcity natdrug nateduc natrace natarms nataid natfare natroad natsoc natmass natpark "
    "natchld natsci natenrgy",
    "confidence in institutions": "conarmy conbus conclerg coneduc confed confinan conjudge conlabor conlegis conmedic conpress consci "
    "contv",
    "abortion": "abdefect abnomore abhlth abpoor abrape absingle abany",
    "end of life": "letdie1 suicide1 suicide2 suicide3 suicide4",
    "free speech": "spkath colath spkrac colrac librac spkcom colcom libcom",
    "crime, police and guns": "courts cappun polhitok polabuse polattak grass gunlaw owngun hunt1",
    "women and men": "discaffw discaffm fehire fechld fepresch fefam fepol mawrkgrw",
    "race, origin and immigration": "racdif1 racdif2 racdif3 racdif4 wlthwhts wlthblks wlthhsps racwork letin1a discaff born granborn "
    "othlang",
    "family and sexual morals": "marital aged spanking divlaw sexeduc pillok xmarsex homosex marhomo pornlaw xmovie",
    "religion": "prayer attend pray postlife bible reborn savesoul relpersn sprtprsn",
    "work": "wrkgovt1 wrkgovt2 wksub1 joblose jobfind satjob unemp union1 richwork",
    "money and class": "incom16 dwelown16 dwelown class satfin finalter finrela getahead parsol kidssol tax",
    "politics, news and war": "vote16 pres16 if16who news webmob uswary vetyears",
    "well-being and trust": "happy life health fair helpful trust",
}


def topic_of() -> dict[str, str]:
    """Return each question's topic."""
    return {name: topic for topic, names in TOPICS.items() for name in names.split()}


def with_topics(book: ss.Codebook) -> ss.Codebook:
    """Return the codebook with every question's topic: the closed form then leaves whole topics out to choose what it believes."""
    topic = topic_of()
    return replace(book, questions={name: replace(question, topic=topic[name]) for name, question in book.questions.items()})


def topic_folds(folds: int, seed: int) -> list[list[str]]:
    """Return so many folds of questions, no topic in two: topics in random order, each to the fold with the fewest questions so far."""
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for topic in np.random.default_rng(seed).permutation(list(TOPICS)):
        min(dealt, key=len).extend(TOPICS[topic].split())
    return dealt
