"""Pairs of respondents who gave the same answers to most questions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from surveysim.errors import SurveySimError
from surveysim.survey.recurring import answer_numbers, cell_hashes
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import RESPONDENT_ID

BANDS = 8  # parts of the questionnaire of which one must agree in full for two respondents to be compared
LARGEST_BAND = 20  # respondents who agree in one part; more say that the part is short or was skipped, not that people recur
FEWEST_ANSWERS = 10  # both must have given, for a share of them to mean something


def check_duplicates(survey: Survey, *, share: float = 0.85) -> pd.DataFrame:
    """List pairs of respondents who gave the same answers to most questions.

    Two respondents are compared where they agree in full in one of eight parts of the questionnaire, so that the cost grows with the
    respondents and not with their pairs. A part in which more than twenty respondents agree is passed over.

    Parameters
    ----------
    survey : Survey
    share : float
        Least share of matching answers among the questions that both answered, above 0 and at most 1. Kuriakose and Robbins found
        hardly a pair above 0.85 in surveys that were not tampered with.

    Returns
    -------
    DataFrame
        A row per pair, the most alike first: `respondent_1`, `respondent_2` (ids), `questions` (both answered), `matching`, `share`
        (0-1). ``attrs`` holds `respondents`, `pairs_compared`, and `recurring`, the respondents who stand in some pair.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`, or `share` is not between 0 and 1.

    References
    ----------
    Kuriakose and Robbins (2016), Don't get duped: fraud through duplication in survey research, doi:10.3233/SJI-160978.

    Examples
    --------
    >>> import numpy as np
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> resampled = survey.take(np.array([0, 1, 2, 2, 3]))
    >>> ss.check_duplicates(resampled)[["questions", "matching", "share"]].values.tolist()
    [[87.0, 87.0, 1.0]]
    """
    check_survey(survey)
    if not 0 < share <= 1:
        raise SurveySimError(f"share must be above 0 and at most 1, a share of matching answers; got {share!r}")
    codes = answer_numbers(survey.data, survey.reasons)
    pairs = _candidates(codes)
    both = (codes[pairs[:, 0]] >= 0) & (codes[pairs[:, 1]] >= 0)
    matching = ((codes[pairs[:, 0]] == codes[pairs[:, 1]]) & both).sum(axis=1)
    questions = both.sum(axis=1)
    alike = np.divide(matching, questions, out=np.zeros(len(pairs)), where=questions > 0)
    ids = survey.data[RESPONDENT_ID].to_numpy()
    table = pd.DataFrame(
        {"respondent_1": ids[pairs[:, 0]], "respondent_2": ids[pairs[:, 1]], "questions": questions, "matching": matching, "share": alike}
    )
    kept = ((alike >= share) & (questions >= FEWEST_ANSWERS)).astype(bool)
    table = table[kept].sort_values(["share", "questions"], ascending=False, kind="stable").reset_index(drop=True)
    recurring = len(np.unique(pairs[kept]))
    table.attrs.update(respondents=len(survey), pairs_compared=len(pairs), recurring=recurring)
    return table


def _candidates(codes: np.ndarray) -> np.ndarray:
    """Return the pairs of rows that agree in full in some part of the questionnaire, shape ``(pairs, 2)``."""
    found: set[tuple[int, int]] = set()
    for band in range(min(BANDS, codes.shape[1])):
        part = codes[:, band::BANDS]
        answered = np.flatnonzero((part >= 0).any(axis=1))
        place, _ = pd.factorize(cell_hashes(part[answered]))
        order = np.argsort(place, kind="stable")
        edges = np.flatnonzero(np.diff(place[order])) + 1
        for group in np.split(answered[order], edges):
            if 2 <= len(group) <= LARGEST_BAND:
                found.update(combinations(group.tolist(), 2))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
