"""R's random numbers, so that a bootstrap drawn in R can be drawn again here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class RRandom:
    """The stream of R's default generator after ``set.seed(seed)``: Mersenne Twister, sampling by rejection (R >= 3.6)."""

    def __init__(self, seed: int) -> None:
        for _ in range(50):  # R scrambles the seed before it fills the state (src/main/RNG.c)
            seed = (69069 * seed + 1) & 0xFFFFFFFF
        state = []
        for _ in range(625):
            seed = (69069 * seed + 1) & 0xFFFFFFFF
            state.append(seed)
        self._generator = np.random.RandomState()
        self._generator.set_state(("MT19937", np.array(state[1:], dtype=np.uint32), 624))

    def _sixteen_bits(self) -> int:
        return int(self._generator.randint(0, 2**32, dtype=np.uint64)) >> 16

    def index(self, n: int) -> int:
        """Return a number from 0 to n - 1."""
        bits = int(np.ceil(np.log2(n)))
        while True:
            value = 0
            for _ in range(0, bits + 1, 16):
                value = 65536 * value + self._sixteen_bits()
            value &= (1 << bits) - 1
            if value < n:
                return value

    def sample(self, items: Sequence[object], size: int | None = None, *, replace: bool = False) -> list[object]:
        """Return R's ``sample(items, size, replace)``."""
        pool = list(items)
        n = len(pool)
        if replace:
            return [pool[self.index(n)] for _ in range(n if size is None else size)]
        drawn = []
        for _ in range(n if size is None else size):
            place = self.index(n)
            drawn.append(pool[place])
            n -= 1
            pool[place] = pool[n]
        return drawn


def bootstrap_factors(calls: Sequence[tuple[list[int], list[object]]], *, replicates: int, seed: int) -> list[np.ndarray]:
    """Return the factors of successive calls of R's ``subbootweights``, each shape ``(respondents, replicates)``.

    Parameters
    ----------
    calls : sequence of (psu, stratum)
        Labels of each respondent, a pair for each call.
    replicates : int
    seed : int
        Given to ``set.seed`` before the first call.
    """
    stream = RRandom(seed)
    return [_factors(stream, psu, strata, replicates) for psu, strata in calls]


def _factors(stream: RRandom, psu: list[int], strata: list[object], replicates: int) -> np.ndarray:
    out = np.zeros((len(psu), replicates))
    for stratum in dict.fromkeys(strata):
        units = list(dict.fromkeys(unit for unit, own in zip(psu, strata, strict=True) if own == stratum))
        shuffled, place = stream.sample(units), {unit: number for number, unit in enumerate(units)}
        counts = np.zeros((len(units), replicates))
        for column in range(replicates):
            for unit in stream.sample(shuffled, len(units) - 1, replace=True):
                counts[place[unit], column] += 1
        rows = [number for number, own in enumerate(strata) if own == stratum]
        out[rows] = counts[[place[psu[row]] for row in rows]] * len(units) / (len(units) - 1)
    return out
