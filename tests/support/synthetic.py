"""Small survey files made up for the tests of the readers: no respondent is real.

Made with pyreadstat, pandas and plain bytes alone, so that they are no mirror of the package's own writer.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight

TRUST = tuple(Option(code, label) for code, label in enumerate(["No trust at all", "Some trust", "Complete trust"]))
TRUST_LABELS = {0: "No trust at all", 1: "Some trust", 2: "Complete trust", 7: "Refusal", 8: "Don't know"}
ANSWERS = [0, 1, 2, 7, 8, 1]  # one respondent each; 7 and 8 are missing, declared by the file or by the codebook
REASONS = [None, None, None, "refused", "dont_know", None]


def trust_codebook(**changes: object) -> ss.Codebook:
    """Return a codebook with one question `trust` (0, 1, 2), one trait `sex` and weight `w`; it declares no missing codes."""
    questions = {"trust": Question("trust", "Do you trust parliament?", TRUST)}
    sex = Trait("sex", "gndr", (Level("male", "a man", (1,)), Level("female", "a woman", (2,))))
    parts: dict[str, object] = {"weights": (Weight("w"),), "respondent_id": ("id",), **changes}
    return ss.Codebook("trust", "A survey of trust", {"sex": sex}, questions, **parts)  # type: ignore[arg-type]


def trust_frame(n: int = 1) -> pd.DataFrame:
    """Return the six respondents, `n` times over, numbers as floats as SPSS holds them."""
    rows = 6 * n
    columns = {"id": np.arange(rows) + 1, "trust": ANSWERS * n, "gndr": [1, 2] * (rows // 2), "w": np.linspace(0.5, 1.5, rows)}
    return pd.DataFrame({name: np.asarray(values, float) for name, values in columns.items()})


def write_sav(path: Path, frame: pd.DataFrame | None = None, *, labels: Mapping[int, str] = TRUST_LABELS, missing: object = (7, 8)) -> Path:
    """Write an SPSS file that labels `trust` and declares its missing codes."""
    frame = trust_frame() if frame is None else frame
    trust = next(name for name in frame if str(name).lower() == "trust")
    pyreadstat.write_sav(
        frame,
        str(path),
        column_labels={trust: "Trust in parliament"},
        variable_value_labels={trust: dict(labels)},
        missing_ranges={trust: list(missing)} if missing else None,  # type: ignore[call-overload]
        compress=path.suffix == ".zsav",
    )
    return path


def write_dta(path: Path) -> Path:
    """Write a Stata file whose missing answers are tagged .b and .c."""
    frame = trust_frame()
    frame["trust"] = pd.Series([{7: "b", 8: "c"}.get(code, code) for code in ANSWERS], dtype=object)
    labels = {0: "No trust at all", 1: "Some trust", 2: "Complete trust", "b": "Refusal", "c": "Don't know"}
    pyreadstat.write_dta(frame, str(path), variable_value_labels={"trust": labels}, missing_user_values={"trust": ["b", "c"]})
    return path


def write_chinese_dta(path: Path, label: str = "总的来说您信任全国人民代表大会吗", *, cut: int = 80) -> Path:
    """Write a Stata file of format 114 in GB18030, which declares no encoding; `cut` is the longest label in bytes.

    pandas writes this format in Latin-1: text is handed over with a character for each byte.
    """

    def bytewise(text: str) -> str:
        return text.encode("gb18030").decode("latin-1")

    words = {0: "完全不信任", 1: "有些信任", 2: "完全信任", 7: "拒绝回答", 8: "不知道"}
    frame = trust_frame().astype({"trust": "int32"}).assign(place=[bytewise(place) for place in ["北京市", "上海市"] * 3])
    frame.to_stata(
        path,
        version=114,
        write_index=False,
        variable_labels={"trust": bytewise(label)[:cut]},
        value_labels={"trust": {code: bytewise(word) for code, word in words.items()}},
    )
    return path


def redeclare_encoding(path: Path, declared: bytes | None, swap: Mapping[str, bytes]) -> Path:
    """Give a .sav file other text of the same length in bytes, and another declared encoding (5 letters), or none."""
    content = path.read_bytes()
    for old, new in swap.items():
        assert len(old) == len(new), "a file's text keeps its length"
        content = content.replace(old.encode("ascii"), new)
    record = content.index(b"UTF-8") - 16  # record type 7, subtype 20, size 1, count 5
    assert struct.unpack("<iiii", content[record : record + 16]) == (7, 20, 1, 5)
    content = content.replace(b"UTF-8", declared) if declared else content[:record] + content[record + 21 :]
    path.write_bytes(content)
    return path


def write_portable(path: Path, *, records: str, label: str = "Refusal") -> Path:
    """Write an SPSS portable file; `records` declares the missing codes of `TRUST` in the format's base-30 digits."""
    pyreadstat.write_por(pd.DataFrame({"TRUST": np.asarray(ANSWERS, float), "W": np.ones(6)}), str(path))
    text = "".join(line.ljust(80) for line in path.read_bytes().decode("latin-1").splitlines())
    place = text.index("5/TRUST") + len("5/TRUST")
    for _ in range(6):  # a variable's record ends with six numbers: its print and write formats
        place = text.index("/", place) + 1
    text = text[:place] + records + text[place:]
    place = text.index("F", text.index("/W") + 2)
    text = f"{text[:place]}D1/5/TRUST2/0/2/No7/{len(label)}/{label}{text[place:]}"
    path.write_bytes("\r\n".join(text[start : start + 80] for start in range(0, len(text), 80)).encode("latin-1"))
    return path


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write text, gzipped where the name says so."""
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def trust_csv(separator: str = ",", *, quote: str = "", lines: str = "") -> str:
    """Return the six respondents as delimited text, with quotes around names or around whole lines."""
    names = separator.join(f"{quote}{name}{quote}" for name in ("id", "trust", "gndr", "w"))
    rows = [separator.join(str(value) for value in (place + 1, code, 1 + place % 2, 0.5 + place / 4)) for place, code in enumerate(ANSWERS)]
    return "\n".join(f"{lines}{row}{lines}" for row in (names, *rows)) + "\n"
