"""How many answers are missing, and why: every reason counted for every question, weighted or not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim.codebook.questions import MISSING_REASONS
from surveysim.errors import TableError, nearest
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.schema import QUESTION, WEIGHT, N

VALID_COLUMN = "valid"


def na_table(survey: Survey, *, of: str = "questions", weighted: bool = False) -> pd.DataFrame:
    """Count valid answers and every reason of a missing one, a row per question.

    Parameters
    ----------
    survey : Survey
    of : {"questions", "traits"}
        What to count; with traits, `valid` counts respondents who have a level.
    weighted : bool
        Sums of weights rather than respondents: by a question's own weight where it has one, else the survey's. Respondents
        without that weight count in none.

    Returns
    -------
    DataFrame
        Columns `question_id` (or `trait`), `valid`, `refused`, `dont_know`, `no_answer`, `not_applicable`, `not_asked`,
        `other`, and `n`, their sum. Divide by `n` for shares.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    TableError
        If `of` is neither.

    References
    ----------
    de Leeuw, Hox and Huisman (2003), Prevention and treatment of item nonresponse, Journal of Official Statistics 19, 153-176.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> row = ss.na_table(survey).set_index("question_id").loc["Q8_8"]
    >>> int(row["valid"]), int(row["refused"]), int(row["n"])
    (5807, 29, 5836)
    """
    check_survey(survey)
    if of not in ("questions", "traits"):
        raise TableError(f"of must be 'questions' or 'traits'; got {of!r}, {nearest(of, ('questions', 'traits'))}")
    reasons = survey.reasons if of == "questions" else survey.trait_reasons
    columns = [VALID_COLUMN, *MISSING_REASONS]
    counts = {name: _count(survey, name, reasons[name], weighted=weighted) for name in reasons}
    table = pd.DataFrame.from_dict(counts, orient="index", columns=columns, dtype=float if weighted else int)
    table[N] = table[columns].sum(axis=1)
    return table.rename_axis(QUESTION if of == "questions" else "trait").reset_index()


def _count(survey: Survey, name: str, reasons: pd.Series, *, weighted: bool) -> np.ndarray:
    """Return counts or sums of weights: valid answers (code -1) first, then the reasons in order."""
    place = reasons.cat.set_categories(list(MISSING_REASONS)).cat.codes.to_numpy() + 1
    weights = None
    if weighted:
        question = survey.codebook.questions.get(name)
        own = question.weight if question is not None and question.weight in survey.data else None
        weights = np.nan_to_num(survey.data[own or WEIGHT].to_numpy(float))
    return np.bincount(place, weights=weights, minlength=len(MISSING_REASONS) + 1)
