"""Damaged files for every reader, damaged frames for every verb: `python -m tests.support.fuzzing --seconds 600 --seed 1` (``make fuzz``).

Small files are written, changed at places drawn with the seed, and read through public names; good frames are changed likewise and
given to the public verbs that take a table. What is given may be taken, or refused with a `SurveySimError`; any other error, more than
five seconds of work (more where the verb itself takes long), a wait of two minutes, a process of more than two gigabytes or one that
dies counts as a fault. SPSS and Stata files are read in the child process, as strangers' files are. No input is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count as whole_numbers
from itertools import islice
from pathlib import Path

import pandas as pd

import surveysim as ss
from surveysim.errors import SurveySimError
from surveysim.files.readers import read_columns
from tests.support import synthetic
from tests.support.opinion_survey import TRAITS, load_tiny, opinion_codebook, opinion_frame, opinion_sample, opinion_survey
from tests.support.tiny import save_tiny_model

PATIENCE, STOPPED, MEMORY = 5.0, 120, 2 << 30  # seconds, seconds, bytes
FRAMES_A_ROUND = 3  # of ``make fuzz``: they take about as long as the files
TOML = """
[survey]
name = "opinions"
title = "A made-up survey"
[weights.w]
[missing]
77 = "refused"
[traits.age]
levels = [{ name = "young", codes = [0] }, { name = "old", range = [1, 2] }]
[questions.vote]
text = "Did you vote?"
options = [[1, "Yes"], [2, "No"]]
"""
TEXTS = (b"9" * 5000, b"[" * 3000, b"-1", b"1e999", b"nan", b"\x00", b"\xff\xfe", b"{", b"}", b'"', b"../", b"=", b"\n" * 40, b"null")


@dataclass
class Kind:
    """A kind of file: the whole one, and how it is read."""

    name: str
    whole: Path
    read: Callable[[Path], object]
    every: int = 1  # rounds; more where each takes a process of its own


@dataclass
class Count:
    """What came of one kind of file."""

    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def changed(content: bytes, draw: random.Random) -> bytes:
    """Return content that differs at one to four places: bits, bytes, pieces cut, doubled, moved or put in."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = _changed_once(content, draw)
    return content


def _changed_once(content: bytes, draw: random.Random) -> bytes:
    at, length = draw.randrange(len(content) + 1), draw.choice((1, 1, 2, 4, 8, 40, 400))
    other = draw.randrange(len(content) + 1)
    before, piece, after = content[:at], content[at : at + length], content[at + length :]
    how = draw.choice(("bits", "bytes", "without", "cut", "doubled", "from elsewhere", "text", "ones"))
    if how == "cut":
        return before
    new = {
        "bits": bytes(byte ^ (1 << draw.randrange(8)) for byte in piece),
        "bytes": draw.randbytes(len(piece)),
        "without": b"",
        "doubled": piece * draw.randint(2, 50),
        "from elsewhere": content[other : other + length],
        "text": draw.choice(TEXTS) + draw.choice((b"", piece)),
        "ones": b"\xff" * len(piece),
    }
    return before + new[how] + after


def kinds(folder: Path) -> Iterator[Kind]:
    """Yield every kind of file that is read from a place the user names."""
    book, survey = opinion_codebook(), opinion_survey(60)
    (folder / "book.toml").write_text(TOML)
    frame = opinion_frame(60)
    frame.to_csv(folder / "x.csv", index=False)
    frame.to_csv(folder / "x.csv.gz", index=False)
    frame.to_parquet(folder / "x.parquet")
    for suffix in (".csv", ".csv.gz", ".parquet"):
        yield Kind(f"survey{suffix}", folder / f"x{suffix}", lambda path: ss.read_survey(path, book))
    synthetic.write_portable(folder / "x.por", records="87/88/")
    yield Kind("survey.por", folder / "x.por", lambda path: read_columns(path, isolated=True), every=10)
    for suffix in (".sav", ".dta"):
        ss.write_survey(survey, folder / f"x{suffix}")
        yield Kind(f"survey{suffix}", folder / f"x{suffix}", lambda path: ss.read_survey(path, book, isolated=True), every=10)
    yield Kind("codebook", folder / "book.toml", lambda path: repr(ss.load_codebook(path)))
    table = opinion_sample(60)
    ss.export_table(table, folder / "table.parquet", min_n=0)
    yield Kind("table", folder / "table.parquet", lambda path: ss.read_table(path))
    yield from _of_models(folder, table, book)


def _of_models(folder: Path, table: pd.DataFrame, book: ss.Codebook) -> Iterator[Kind]:
    base = load_tiny(save_tiny_model(folder / "base"))
    stages = (ss.StageConfig("option_kl", epochs=1),)
    saved = ss.align(base, table, book, stages=stages, progress=False).save(folder / "saved", min_n=0)

    def load(path: Path) -> object:
        """Put the changed file in the place of the whole one, and load and show the model."""
        name = path.name.removeprefix("changed-")
        place = folder / "changed-model"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(saved, place)
        shutil.copy(path, place / name)
        model = load_tiny(place)
        return f"{model!r} {model._repr_html_()} {model.history} {model.stages}"

    recipe = json.loads((saved / "surveysim.json").read_text())
    (saved / "surveysim.json").write_text(json.dumps({**recipe, "sha256": {}}))  # else every change is found by its checksum alone
    for name in ("surveysim.json", "adapter_model.safetensors", "question_heads.safetensors"):
        yield Kind(f"model: {name}", saved / name, load)
    first = _zero_shot(base)
    states = max((folder / "cache").rglob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)

    def simulate(path: Path) -> None:
        """Whatever stands in the cache costs time at most."""
        shutil.copy(path, states)
        if not _zero_shot(base).equals(first):
            raise RuntimeError("another result")

    yield Kind("cache", states, simulate)


def _zero_shot(base: ss.OptionModel) -> pd.Series:
    return ss.simulate(opinion_survey(60), TRAITS, model=base, method="zero-shot", questions=["vote"], progress=False)["share"]


def frame_kinds(draw: random.Random, folder: Path) -> Iterator[Kind]:
    """Yield a damaged frame for a verb that is drawn, without end."""
    from tests.support.odd_frames import damaged
    from tests.whole.test_odd_frames import CALLS, SLOW  # makes its frames, which takes half a minute

    place = folder / "of-frames"
    while True:
        verb, argument = draw.choice([each for each in CALLS if each not in SLOW or draw.random() < 0.1])
        frame, call = CALLS[verb, argument]
        said, odd = damaged(frame.copy(), draw)
        yield Kind("frames", place, partial(_given, call, odd, f"{verb}({argument}), {said}"), every=4)


def _given(call: Callable[[object, Path], object], odd: object, said: str, place: Path) -> None:
    """Give an odd frame to a verb, in an empty folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        call(odd, place)
    except SurveySimError:
        raise
    except Exception as error:
        raise RuntimeError(f"{said}: {error!r}") from error
    finally:
        sys.modules["matplotlib.pyplot"].close("all")


def fuzz(seconds: float, seed: int, folder: Path, *, frames: int = 0) -> dict[str, Count]:
    """Read changed files of all kinds, and give so many odd frames to verbs, in turn for so many seconds; return what came of them."""
    os.environ["SURVEYSIM_CACHE"] = str(folder / "cache")
    draw = random.Random(seed)
    counts: dict[str, Count] = {}
    all_kinds = [(kind, kind.whole.read_bytes()) for kind in kinds(folder)]
    odd = frame_kinds(draw, folder)
    until = time.monotonic() + seconds
    for number in whole_numbers():
        for kind, whole in all_kinds:
            if number % kind.every == 0:
                place = folder / f"changed-{kind.whole.name}"
                place.write_bytes(changed(whole, draw) if number else whole)
                _read(kind, place, counts.setdefault(kind.name, Count()))
                place.unlink(missing_ok=True)
        for kind in islice(odd, frames if number else 0):
            _read(kind, kind.whole, counts.setdefault(kind.name, Count()))
        if not number and any(not found.read for found in counts.values()):
            raise AssertionError(f"a whole file is not read: {[name for name, found in counts.items() if not found.read]}")
        if time.monotonic() > until:
            return counts
    raise AssertionError


def _too_long(*_given: object) -> None:
    raise TimeoutError(f"more than {STOPPED} s")


def _read(kind: Kind, place: Path, count: Count) -> None:
    begin = _processor_time()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(STOPPED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(place)
        count.read += 1
    except SurveySimError:
        count.refused += 1
    except Exception as error:  # what the harness is there to find
        at = traceback.extract_tb(error.__traceback__)[-1]
        count.faults.append(f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {str(error)[:200]}")
    signal.alarm(0)
    if (took := _processor_time() - begin) > PATIENCE * kind.every:
        count.faults.append(f"{took:.1f} s of a processor")


def _processor_time() -> float:
    """Seconds that processors worked for this process and its ended children: a busy machine is no fault; `STOPPED` ends a wait."""
    return sum(os.times()[:4])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the harness in this process, print its counts, and return 1 where there was a fault."""
    parser = argparse.ArgumentParser(description="Damaged files for every reader, damaged frames for every verb.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        counts = fuzz(given.seconds, given.seed, Path(folder), frames=FRAMES_A_ROUND)
    print(f"seed {given.seed}, {given.seconds:g} s; largest process {_largest() >> 20} MB")
    for name, count in counts.items():
        print(f"{name:40} {count.read:6} read {count.refused:6} refused {len(count.faults):4} faults")
        for fault, times in Counter(count.faults).most_common(5):
            print(f"    {times} x {fault}")
    return int(any(count.faults for count in counts.values()) or _largest() > MEMORY)


def _largest() -> int:
    """Bytes of the largest process so far: this one, or a child that has ended."""
    import resource

    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


if __name__ == "__main__":
    sys.exit(main())
