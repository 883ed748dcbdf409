"""`Design`: weights, strata, PSUs, finite populations, calibrations and replicate weights, and the variance they imply.

Everything here works on arrays with a row per respondent. By Taylor linearisation the variance of an estimate is that of
the sum of its influence values ``z`` (weight times linearised value): totals of ``z`` by PSU, centred within strata. Known
totals that the weights were calibrated to take out of ``z`` what they explain. With replicate weights the estimate is
repeated under each.

References
----------
Binder (1983), On the variances of asymptotically normal estimators from complex surveys, doi:10.2307/1402588.
Lumley (2004), Analysis of complex survey samples, doi:10.18637/jss.v009.i08.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from surveysim.design.calibration import Calibration
from surveysim.design.replication import Replicates
from surveysim.design.stages import LONELY_PSU, Stage, distinct, group_sums, sampling_stages
from surveysim.errors import DesignError, first_few, nearest
from surveysim.tables.schema import refuse_extreme

ROUNDING = 1e-12  # a variance this small beside the uncalibrated one is what rounding left of zero


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
class Design:
    """A sampling design: what R's `svydesign` and `svrepdesign` hold.

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
    calibrations : tuple of Calibration
        Adjustments that made the weights, in the order they were made. Errors take the latest out first (what varies after it
        is its residual); R's `survey` takes the earliest out first, so that errors after two adjustments differ from R's.
    replicates : Replicates, optional
        Replicate weights; they take the place of linearisation.

    Raises
    ------
    DesignError
        If a weight is missing, infinite or negative, or all are zero; if an array has another length; if a stratum, PSU
        or population size is missing; if `lonely_psu` is unknown.

    References
    ----------
    Binder (1983), doi:10.2307/1402588. Lumley (2004), doi:10.18637/jss.v009.i08.

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
    calibrations: tuple[Calibration, ...] = field(default=(), repr=False)
    replicates: Replicates | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.lonely_psu not in LONELY_PSU:
            found = f"got {self.lonely_psu!r}, {nearest(str(self.lonely_psu), LONELY_PSU)}"
            raise DesignError(f"lonely_psu must be one of {', '.join(LONELY_PSU)}; {found}")
        object.__setattr__(self, "weights", checked_weights(self.weights))
        for name in ("strata", "psu", "fpc"):
            object.__setattr__(self, name, _columns(name, getattr(self, name), len(self.weights)))

    @classmethod
    def from_fractions(cls, fpc: np.ndarray, *, strata: np.ndarray | None = None, psu: np.ndarray | None = None) -> Design:
        """Return the design whose weights are the inverse of its sampling fractions, stage by stage.

        Parameters
        ----------
        fpc, strata, psu : array
            As of `Design`.

        Raises
        ------
        DesignError
            As `Design`, or if a stratum's population is smaller than its sample.
        """
        equal = cls(np.ones(len(fpc)), strata=strata, psu=psu, fpc=fpc, lonely_psu="remove")
        probability = np.ones(len(fpc))
        for stage in equal.stages:
            probability *= stage.fraction[stage.stratum[stage.unit]]
        return replace(equal, weights=1 / probability, lonely_psu="fail")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def description(self) -> str:
        """Strata, PSUs, adjustments and how errors are made, in words."""
        first = self.stages[0]
        clusters = "every respondent a PSU" if self.psu is None else f"{len(first.stratum):,} PSUs"
        parts = ["no strata" if self.strata is None else f"{len(first.sampled):,} strata", clusters]
        parts += ["finite population"] if self.fpc is not None else []
        parts += [f"{len(self.calibrations)} calibration{'s' if len(self.calibrations) > 1 else ''}"] if self.calibrations else []
        replicates = self.replicates
        parts += ["Taylor linearisation" if replicates is None else f"{replicates.weights.shape[1]} {replicates.method} replicates"]
        return ", ".join([*parts, *([f"lonely PSUs: {self.lonely_psu}"] if first.lonely else [])])

    def __repr__(self) -> str:
        return f"Design({len(self):,} respondents, n_eff {self.n_eff:,.1f}: {self.description})"

    @property
    def n_eff(self) -> float:
        """Kish's effective number of respondents."""
        return kish_n_eff(self.weights)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of sampling that variance is computed from; later ones need a population size."""
        return sampling_stages(len(self), self.strata, self.psu, self.fpc, self.lonely_psu)

    @property
    def degrees_of_freedom(self) -> int:
        """Number of PSUs less number of strata, among respondents of positive weight; with replicates at most their rank less 1."""
        rows = np.flatnonzero(self.weights > 0)
        return int(self.domain_degrees_of_freedom(rows, np.zeros(len(rows), dtype=np.int64), 1)[0])

    def domain_degrees_of_freedom(self, rows: np.ndarray, domain: np.ndarray, n_domains: int) -> np.ndarray:
        """Return PSUs less strata that have a member of positive weight in each domain, as R's `degf` of a subset."""
        first = self.stages[0]
        n_units, n_strata = len(first.stratum), len(first.sampled)
        kept = self.weights[rows] > 0
        units = distinct(domain[kept] * n_units + first.unit[rows][kept], n_domains * n_units)
        strata = distinct(units // n_units * n_strata + first.stratum[units % n_units], n_domains * n_strata)
        df = np.bincount(units // n_units, minlength=n_domains) - np.bincount(strata // n_strata, minlength=n_domains)
        return df if self.replicates is None else np.minimum(df, self.replicates.degrees_of_freedom)

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
        self.refuse_lonely()
        shape = (n_domains, influence.shape[1])
        parts = [stage.domain_variance(influence, rows, domain, n_domains) for stage in self.stages]
        if not self.calibrations:  # R keeps the strata of a calibrated design whole, and in a subset of another those of its members
            parts = [part * stage.domain_average(rows, domain, n_domains) for part, stage in zip(parts, self.stages, strict=True)]
        variance = sum(parts, np.zeros(shape))
        if not self.calibrations:
            return variance
        taken, explained, spread = self.calibration_spread
        between = taken.T @ spread
        residual = np.empty(shape)
        for column in range(shape[1]):  # var(z - u b) = var(z) - 2 b'cov(u, z) + b'var(u)b with b = v'z, domain by domain
            values = influence[:, column : column + 1]
            slope = group_sums(values * explained[rows], domain, n_domains)
            cross = group_sums(values * spread[rows], domain, n_domains)
            residual[:, column] = variance[:, column] - 2 * (slope * cross).sum(axis=1) + ((slope @ between) * slope).sum(axis=1)
        return np.where(residual > ROUNDING * variance, residual, 0)

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
        self.refuse_lonely()
        residual = self.residuals(influence)
        return sum((residual.T @ stage.spread(residual) for stage in self.stages), np.zeros((influence.shape[1],) * 2))

    def residuals(self, influence: np.ndarray) -> np.ndarray:
        """Return influence values less what the calibrations explain of them, shape ``(respondents, columns)``."""
        taken, explained = self._correction
        return np.asarray(influence - taken @ (explained.T @ influence))

    @cached_property
    def _correction(self) -> tuple[np.ndarray, np.ndarray]:
        """Arrays ``(u, v)``: all calibrations together turn ``z`` into ``z - u @ (v.T @ z)``, the latest first."""
        taken, explained = np.zeros((len(self), 0)), np.zeros((len(self), 0))
        for calibration in reversed(self.calibrations):
            more, over = calibration.regression
            over = over - explained @ (taken.T @ over)
            taken, explained = np.hstack([taken, more]), np.hstack([explained, over])
        return taken, explained

    @cached_property
    def calibration_spread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What calibrations take out, what they explain, and the spread of the former, each of shape ``(respondents, regressors)``."""
        taken, explained = self._correction
        return taken, explained, sum((stage.spread(taken) for stage in self.stages), np.zeros(taken.shape)) if taken.size else taken

    def refuse_lonely(self) -> None:
        """Refuse strata with a single PSU where `lonely_psu` is ``"fail"``.

        Raises
        ------
        DesignError
            If there are any.
        """
        for level, stage in enumerate(self.stages):
            if stage.lonely and self.lonely_psu == "fail":
                raise DesignError(
                    f"a variance needs two PSUs in every stratum; stage {level + 1} has a single one in {len(stage.lonely)} of "
                    f"{len(stage.sampled)}: stratum {first_few(stage.lonely)}; join strata, or set lonely_psu to one of "
                    f"{', '.join(LONELY_PSU[1:])}: response_distributions, survey_mean and the like take it, and for a subsample that was "
                    "drawn lonely_psu='remove' is what simulate does"
                )

    def with_weights(self, weights: np.ndarray) -> Design:
        """Return the design with other weights, shape ``(respondents,)``."""
        return replace(self, weights=weights)

    def with_lonely_psu(self, lonely_psu: str) -> Design:
        """Return the design with another treatment of strata that have a single PSU."""
        return self if lonely_psu == self.lonely_psu else replace(self, lonely_psu=lonely_psu)


def checked_weights(weights: np.ndarray, name: str = "weights") -> np.ndarray:
    """Return weights as a float array, or say which are unusable.

    Raises
    ------
    DesignError
        If a weight is missing, infinite or negative, or all are zero.
    """
    values = np.asarray(weights, dtype=float)
    if values.ndim != 1 or not len(values):
        raise DesignError(f"{name} must be one number per respondent; got an array of shape {values.shape}")
    infinite, negative = ~np.isfinite(values), values < 0
    if (infinite | negative).any():
        raise DesignError(
            f"{name}: {int(infinite.sum())} missing or infinite, {int(negative.sum())} negative of {len(values)} values "
            f"(rows {first_few(np.flatnonzero(infinite | negative))}); a weight must be finite and >= 0: "
            "drop or correct these respondents first"
        )
    refuse_extreme(values, name, error=DesignError)
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
    absent = pd.isna(array)
    if absent.any():
        rows = np.flatnonzero(absent.any(axis=1))
        raise DesignError(
            f"{name} is missing for {len(rows)} respondents (rows {first_few(rows)}); fill it in, or leave the variable out and say so"
        )
    return array
