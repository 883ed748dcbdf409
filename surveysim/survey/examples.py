"""Example surveys that ship with surveysim, read as any user's file is."""

from __future__ import annotations

from importlib.resources import as_file, files

from surveysim.errors import ReadError, nearest
from surveysim.survey.reading import read_survey
from surveysim.survey.survey import Survey


def list_examples() -> list[str]:
    """Return the names of the surveys that ship with surveysim.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import surveysim as ss
    >>> ss.list_examples()
    ['nonvoters2020']
    """
    return sorted(item.name.removesuffix(".sav") for item in files("surveysim").joinpath("data").iterdir() if item.name.endswith(".sav"))


def load_example(name: str = "nonvoters2020") -> Survey:
    """Read a real survey that ships with surveysim, through `read_survey` and the codebook of the same name.

    Parameters
    ----------
    name : str
        One of `list_examples`. ``"nonvoters2020"``: 5,836 U.S. citizens and 87 questions, with weight (FiveThirtyEight
        and Ipsos, "Why Many Americans Don't Vote", 2020; CC BY 4.0).

    Returns
    -------
    Survey

    Raises
    ------
    ReadError
        If no survey of that name ships.

    References
    ----------
    FiveThirtyEight and Ipsos (2020). Why Many Americans Don't Vote.
    https://github.com/fivethirtyeight/data/tree/master/non-voters

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> len(survey), len(survey.questions), survey.weight_name
    (5836, 87, 'weight')
    """
    if name not in list_examples():
        raise ReadError(f"no example survey is called {name!r}; {nearest(name, list_examples())} For your own file use read_survey(path)")
    with as_file(files("surveysim").joinpath("data", f"{name}.sav")) as path:
        return read_survey(path, name)
