"""What is known of backgrounds besides the sample: the order of levels and predictors of groups, as columns and as kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from surveysim.baselines.predictors import GroupPredictors, centred, standardise_predictors
from surveysim.baselines.prior import Prior
from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.errors import EstimationError, first_few, nearest
from surveysim.tables.cells import Array
from surveysim.tables.schema import BACKGROUND, check_backgrounds, require_columns

Levels = Mapping[str, Sequence[str]]

FEWEST_LEVELS = 3  # two levels are alike or not: their order says nothing


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What an estimate may use besides the sample.

    Attributes
    ----------
    levels : mapping of str to sequence of str
        Ordered traits and all their levels, in order; a trait that backgrounds lack is not used.
    predictors : GroupPredictors, optional
        Numbers known of the groups that levels make.
    prior : Prior, optional
        Shares known before the sample.

    Raises
    ------
    EstimationError
        If a trait's levels are one text, or a level stands twice.

    Examples
    --------
    >>> from surveysim.baselines.knowledge import Knowledge
    >>> known = Knowledge({"age": ("18-34", "35-54", "55+")})
    >>> known.columns(["age=18-34|sex=f", "age=35-54|sex=f", "age=55+|sex=m"]).round(2).tolist()
    [[-1.22], [0.0], [1.22]]
    >>> len(known.kernels(["age=18-34|sex=f", "age=35-54|sex=f"]))
    2
    """

    levels: Levels = field(default_factory=dict)
    predictors: GroupPredictors | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        for trait, levels in self.levels.items():
            if isinstance(levels, str):
                raise EstimationError(f"levels: trait {trait!r} has the text {levels!r}; give a list of all its levels, in order")
            twice = [level for place, level in enumerate(levels) if level in levels[:place]]
            if twice:
                raise EstimationError(f"levels: trait {trait!r} has level {first_few(twice)} twice; give each once, in order")

    def columns(self, backgrounds: Sequence[str]) -> Array:
        """Return what is known as columns of a regression: a standardised position for each ordered trait, and the predictors.

        Parameters
        ----------
        backgrounds : sequence of str
            Ids.

        Returns
        -------
        array, shape (backgrounds, columns)

        Raises
        ------
        EstimationError
            If a background has a level that is not among those told.
        """
        found = [_positions(len(levels))[places][:, None] for levels, places in self._ordered(backgrounds)]
        found += [] if self.predictors is None else [self.predictors.columns(backgrounds)]
        return np.hstack([np.zeros((len(backgrounds), 0)), *found])

    def kernels(self, backgrounds: Sequence[str]) -> list[Array]:
        """Return covariances between backgrounds: linear and smooth, for each ordered trait and for the predictors.

        Smooth is a random walk over the levels of an ordered trait, centred, and of predictors what nearness in them says. All
        have mean variance 1 over the levels told, each counted once, so that they do not depend on the backgrounds asked for.

        Parameters
        ----------
        backgrounds : sequence of str
            Ids.

        Returns
        -------
        list of array, shape (backgrounds, backgrounds)

        Raises
        ------
        EstimationError
            If a background has a level that is not among those told.
        """
        found = []
        for levels, places in self._ordered(backgrounds):
            position = _positions(len(levels))
            found += [kernel[np.ix_(places, places)] for kernel in (np.outer(position, position), random_walk(len(levels)))]
        return found + ([] if self.predictors is None else self.predictors.kernels(backgrounds))

    def _ordered(self, backgrounds: Sequence[str]) -> list[tuple[Sequence[str], np.ndarray]]:
        """Levels, and the place of every background among them, of each ordered trait whose order says something."""
        parsed = [parse_background_id(identifier) for identifier in backgrounds]
        traits = [trait for trait, levels in self.levels.items() if len(levels) >= FEWEST_LEVELS and parsed and trait in parsed[0]]
        return [(self.levels[trait], self._places(trait, [own[trait] for own in parsed])) for trait in traits]

    def _places(self, trait: str, own: Sequence[str]) -> np.ndarray:
        place = {level: number for number, level in enumerate(self.levels[trait])}
        strange = [level for level in dict.fromkeys(own) if level not in place]
        if strange:
            raise EstimationError(
                f"levels: trait {trait!r} has no place for {first_few(map(repr, strange))} among {first_few(self.levels[trait], 20)}; "
                "give all levels of the trait, in order"
            )
        return np.array([place[level] for level in own], int)


NOTHING = Knowledge()


def told(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    codebook: Codebook | None = None,
    levels: Levels | None = None,
    predictors: pd.DataFrame | None = None,
    prior: Prior | None = None,
) -> Knowledge:
    """Return what a caller tells of the backgrounds of two tables: by a codebook, or the levels of ordered traits in their place.

    Raises
    ------
    EstimationError
        If `levels` names a trait that the backgrounds lack, one text in place of levels, or a level twice, or the predictors are unusable.
    TableError
        If a table has no ids of backgrounds, or a background is asked for twice.
    """
    check_backgrounds(backgrounds, [])
    require_columns(training, [BACKGROUND], "training")
    found = _levels_of([*training[BACKGROUND], *backgrounds[BACKGROUND]])
    strange = [trait for trait in levels or {} if trait not in found]
    if strange:
        raise EstimationError(f"levels: the backgrounds have no trait {first_few(map(repr, strange))}; {nearest(str(strange[0]), found)}")
    order = levels if levels is not None else known_order(codebook) if codebook is not None else {}
    if predictors is None:
        return Knowledge(order, prior=prior)
    groups = found if codebook is None else {trait: codebook.trait(trait).level_names for trait in found}
    return Knowledge(order, standardise_predictors(predictors, groups, all_known=codebook is not None), prior)


def knowledge_of(
    codebook: Codebook, traits: Sequence[str], predictors: pd.DataFrame | None = None, *, prior: Prior | None = None
) -> Knowledge:
    """Return what a codebook knows of the backgrounds that `traits` make, with predictors of groups where they are given.

    Raises
    ------
    EstimationError
        If the predictors are unusable (`standardise_predictors`).
    CodebookError
        If a trait is unknown.
    """
    levels = {name: codebook.trait(name).level_names for name in traits}
    return Knowledge(known_order(codebook), None if predictors is None else standardise_predictors(predictors, levels), prior)


def known_order(codebook: Codebook) -> dict[str, tuple[str, ...]]:
    """Return the ordered traits of a codebook, with their levels in order.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.baselines.knowledge import known_order
    >>> known_order(ss.load_codebook("nonvoters2020"))["age3"]
    ('18-34', '35-54', '55+')
    """
    return {name: trait.level_names for name, trait in codebook.traits.items() if trait.ordered}


def random_walk(size: int) -> Array:
    """Return the covariance of a random walk over `size` levels in order, centred, mean variance 1."""
    steps = np.arange(size)
    return centred(np.minimum(steps[:, None], steps).astype(float))


def _positions(size: int) -> Array:
    """Positions of levels in order, standardised."""
    steps = np.arange(size) - (size - 1) / 2
    return np.asarray(steps / steps.std())


def _levels_of(identifiers: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for identifier in dict.fromkeys(identifiers):
        for trait, level in parse_background_id(identifier).items():
            found.setdefault(trait, {})[level] = None
    return {trait: list(names) for trait, names in found.items()}
