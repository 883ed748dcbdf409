"""The sampling design: weights, strata, PSUs, finite populations, and the variance that follows from them.

Everything here works on arrays with a row per respondent. The variance of an estimate is that of the weighted sum of its
influence values ``z`` (weight times linearised value): totals of ``z`` by PSU, centred within strata.

References
----------
Binder (1983), On the variances of asymptotically normal estimators from complex surveys, doi:10.2307/1402588.
Lumley (2004), Analysis of complex survey samples, doi:10.18637/jss.v009.i08.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from surveysim.errors import DesignError, first_few, nearest

LONELY_PSU = ("fail", "remove", "adjust", "average", "certainty")


def kish_n_eff(weights: np.ndarray) -> float:
    """Return Kish's effective number of respondents, ``(sum w)^2 / sum w^2``; 0 without any weight.

    Parameters
    ----------
    weights : array, shape ``(respondents,)``

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.
    """
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of sampling: which unit a respondent belongs to, and how many units each stratum has.

    Attributes
    ----------
    unit : int array, shape ``(respondents,)``
    stratum : int array, shape ``(units,)``
    sampled : array, shape ``(strata,)``
        Number of units sampled.
    scale : array, shape ``(strata,)``
        Factor of the squared deviations: ``(1 - f_h) n_h / (n_h - 1)``, times the sampling fraction of earlier stages.
    centred : array, shape ``(strata,)``
        1 where unit totals are centred at the stratum's mean, 0 where at zero.
    """

    unit: np.ndarray
    stratum: np.ndarray
    sampled: np.ndarray
    scale: np.ndarray
    centred: np.ndarray

    def domain_variance(self, influence: np.ndarray, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return the variance of each domain's sum of influence values, shape ``(domains, columns)``.

        Units without a member in the domain stay, with a total of zero; only the others are stored, so that memory is
        linear in the rows.
        """
        n_units, n_strata = len(self.stratum), len(self.sampled)
        pairs, member = np.unique(domain * n_units + self.unit[rows], return_inverse=True)
        totals = group_sums(influence, member, len(pairs))  # (unit x domain, columns)
        unit_domain, stratum = pairs // n_units, self.stratum[pairs % n_units]
        groups, place = np.unique(unit_domain * n_strata + stratum, return_inverse=True)
        group_domain, group_stratum = groups // n_strata, groups % n_strata
        n_h, present = self.sampled[group_stratum], np.bincount(place, minlength=len(groups))
        mean = (self.centred[group_stratum] / n_h)[:, None] * group_sums(totals, place, len(groups))
        squares = group_sums(np.square(totals - mean[place]), place, len(groups)) + (n_h - present)[:, None] * np.square(mean)
        return group_sums(self.scale[group_stratum][:, None] * squares, group_domain, n_domains)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return each respondent's unit's centred and scaled total of `values`, shape as `values`.

        ``z.T @ spread(y)`` is the covariance of the sums of ``z`` and ``y``.
        """
        totals = group_sums(values, self.unit, len(self.stratum))
        mean = (self.centred / self.sampled)[:, None] * group_sums(totals, self.stratum, len(self.sampled))
        return (self.scale[self.stratum][:, None] * (totals - mean[self.stratum]))[self.unit]


@dataclass(frozen=True, eq=False)
class Design:
    """A sampling design: what R's `svydesign` holds.

    Parameters
    ----------
    weights : array, shape ``(respondents,)``
        Inverse probabilities, or proportional to them; >= 0.
    strata : array, shape ``(respondents,)`` or ``(respondents, stages)``, optional
        Stratum of each respondent; default one stratum.
    psu : array, same shape, optional
        Primary sampling unit (then further stages' units), any labels, nested in its stratum: the same label in two
        strata is two units. Default: every respondent is one.
    fpc : array, same shape, optional
        Number of units in the population of the stratum. Later stages count only where it is given.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds: an error, nothing, its squared total, the mean of the other strata, nothing.

    Raises
    ------
    DesignError
        If a weight is missing, infinite or negative, or all are zero; if an array has another length; if a stratum, PSU
        or population size is missing; if a population is smaller than its sample; if `lonely_psu` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim import Design
    >>> design = Design(np.array([10.0, 10.0, 20.0, 20.0]), strata=np.array(["north", "north", "south", "south"]))
    >>> design.degrees_of_freedom, round(design.n_eff, 3)
    (2, 3.6)
    """

    weights: np.ndarray
    strata: np.ndarray | None = None
    psu: np.ndarray | None = None
    fpc: np.ndarray | None = None
    lonely_psu: str = "fail"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", checked_weights(self.weights))
        for name in ("strata", "psu", "fpc"):
            object.__setattr__(self, name, _columns(name, getattr(self, name), len(self.weights)))
        if self.lonely_psu not in LONELY_PSU:
            raise DesignError(f"lonely_psu must be one of {', '.join(LONELY_PSU)}; {nearest(self.lonely_psu, LONELY_PSU)}")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def n_eff(self) -> float:
        """Kish's effective number of respondents."""
        return kish_n_eff(self.weights)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of sampling that variance is computed from; later ones need a population size."""
        return _stages(self)

    @property
    def degrees_of_freedom(self) -> int:
        """Number of PSUs less number of strata, among respondents of positive weight."""
        rows = np.flatnonzero(self.weights > 0)
        return int(self.domain_degrees_of_freedom(rows, np.zeros(len(rows), dtype=int), 1)[0])

    def domain_degrees_of_freedom(self, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return PSUs less strata that have a member of positive weight in each domain, as R's `degf` of a subset."""
        first = self.stages[0]
        kept = self.weights[rows] > 0
        unit, domain = first.unit[rows][kept], domain[kept]
        units = np.unique(domain * len(first.stratum) + unit)
        strata = np.unique(domain * len(first.sampled) + first.stratum[unit])
        return np.bincount(units // len(first.stratum), minlength=n_domains) - np.bincount(
            strata // len(first.sampled), minlength=n_domains
        )

    def domain_variance(self, influence: np.ndarray, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return the Taylor variance of an estimate in each domain.

        Parameters
        ----------
        influence : array, shape ``(members, columns)``
            Weight times linearised value, of the domains' members alone.
        rows : int array, shape ``(members,)``
            Their positions among the respondents.
        domain : int array, shape ``(members,)``
            Domain of each, from 0; domains do not overlap.
        n_domains : int

        Returns
        -------
        array, shape ``(n_domains, columns)``

        Raises
        ------
        DesignError
            If a stratum has a single PSU and `lonely_psu` is ``"fail"``.
        """
        return sum(
            (stage.domain_variance(influence, rows, domain, n_domains) for stage in self.stages), np.zeros((n_domains, influence.shape[1]))
        )

    def covariance(self, influence: np.ndarray) -> np.ndarray:
        """Return the Taylor covariance of sums of influence values over all respondents.

        Parameters
        ----------
        influence : array, shape ``(respondents, columns)``

        Raises
        ------
        DesignError
            If a stratum has a single PSU and `lonely_psu` is ``"fail"``.
        """
        return sum((influence.T @ stage.spread(influence) for stage in self.stages), np.zeros((influence.shape[1],) * 2))

    def with_weights(self, weights: np.ndarray) -> Design:
        """Return the design with other weights, shape ``(respondents,)``."""
        return replace(self, weights=weights)

    def with_lonely_psu(self, lonely_psu: str) -> Design:
        """Return the design with another treatment of strata that have a single PSU."""
        return self if lonely_psu == self.lonely_psu else replace(self, lonely_psu=lonely_psu)


def group_sums(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the column sums of `values`, shape ``(rows, columns)``, by group: shape ``(n_groups, columns)``."""
    if n_groups == len(values) and np.array_equal(group, np.arange(n_groups)):
        return values
    return np.stack([np.bincount(group, column, minlength=n_groups) for column in values.T], axis=1)


def checked_weights(weights: np.ndarray, name: str = "weights") -> np.ndarray:
    """Return weights as a float array, or say which are unusable.

    Raises
    ------
    DesignError
        If a weight is missing, infinite or negative, or all are zero.
    """
    values = np.asarray(weights, dtype=float)
    bad = ~np.isfinite(values) | (values < 0)
    if values.ndim != 1 or not len(values):
        raise DesignError(f"{name} must be one number per respondent; got an array of shape {values.shape}")
    if bad.any():
        raise DesignError(
            f"{name}: {int((~np.isfinite(values)).sum())} missing or infinite, {int((values < 0).sum())} negative of {len(values)} values "
            f"(rows {first_few(np.flatnonzero(bad))}); a weight must be finite and >= 0: drop or correct these respondents first"
        )
    if not values.any():
        raise DesignError(f"{name}: every weight is zero; choose another weight variable")
    return values


def _columns(name: str, values: np.ndarray | None, length: int) -> np.ndarray | None:
    if values is None:
        return None
    array = np.asarray(values)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != length:
        raise DesignError(f"{name} must have a row per respondent ({length}); got an array of shape {array.shape}")
    absent = np.array([[value is None or value != value for value in row] for row in array]) if array.dtype == object else array != array
    if absent.any():
        rows = np.flatnonzero(absent.any(axis=1))
        raise DesignError(
            f"{name} is missing for {len(rows)} respondents (rows {first_few(rows)}); fill it in, or leave the variable out and say so"
        )
    return array


def _stages(design: Design) -> tuple[Stage, ...]:
    n, ones = len(design), np.ones(len(design))
    depth = 1 if design.psu is None else design.psu.shape[1]
    if design.fpc is not None:
        depth = min(depth, design.fpc.shape[1])
    elif depth > 1:
        depth = 1  # with replacement at the first stage: what happens below adds nothing
    parent, fraction = np.zeros(n, dtype=int), ones
    stages: list[Stage] = []
    for level in range(depth):
        stratum = parent
        if design.strata is not None and level < design.strata.shape[1]:
            stratum = _nested(parent, design.strata[:, level])
        unit = np.arange(n) if design.psu is None else _nested(stratum, design.psu[:, level])
        population = None if design.fpc is None else design.fpc[:, level].astype(float)
        stage, own = _stage(design, level, stratum, unit, population, fraction)
        stages.append(stage)
        parent, fraction = unit, fraction * own
    return tuple(stages)


def _stage(
    design: Design, level: int, stratum: np.ndarray, unit: np.ndarray, population: np.ndarray | None, fraction: np.ndarray
) -> tuple[Stage, np.ndarray]:
    """Return one stage, and the sampling fraction of each respondent's stratum at it."""
    n_units, n_strata = int(unit.max()) + 1, int(stratum.max()) + 1
    unit_stratum = np.empty(n_units, dtype=int)
    unit_stratum[unit] = stratum
    sampled = np.bincount(unit_stratum, minlength=n_strata).astype(float)
    first = np.empty(n_strata, dtype=int)
    first[stratum[::-1]] = np.arange(len(stratum))[::-1]
    own = np.zeros(n_strata)
    if population is not None:
        small = population[first] < sampled
        if small.any():
            raise DesignError(
                f"fpc: stage {level + 1} samples more units than the population has in {int(small.sum())} strata, "
                f"first with {sampled[small][0]:g} of {population[first][small][0]:g}; fpc is the number of units in the population"
            )
        own = sampled / population[first]
    lonely = (sampled == 1) & (own < 1)
    labels = (
        stratum[first] if design.strata is None else design.strata[first, min(level, design.strata.shape[1] - 1)]
    )  # stage 2: name of the first stage's stratum
    if lonely.any() and design.lonely_psu == "fail":
        raise DesignError(
            f"a variance needs two PSUs a stratum; stage {level + 1} has one in {int(lonely.sum())} of {n_strata} strata: "
            f"{first_few(map(str, labels[lonely]))}; join strata, or set lonely_psu to one of {', '.join(LONELY_PSU[1:])}"
        )
    scale = (1 - own) * sampled / np.maximum(sampled - 1, 1) * fraction[first]
    kept = lonely & (design.lonely_psu == "adjust")
    scale = np.where(lonely & ~kept, 0.0, scale)
    if design.lonely_psu == "average" and lonely.any() and not lonely.all():
        scale = scale * n_strata / (n_strata - lonely.sum())
    return Stage(unit, unit_stratum, sampled, scale, np.where(kept, 0.0, 1.0)), own[stratum]


def _nested(outer: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number the combinations of an outer code and a label, from 0."""
    _, inner = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)
    return np.unique(outer * (int(inner.max()) + 1) + inner, return_inverse=True)[1]
