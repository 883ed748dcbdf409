"""Excel workbooks: a sheet with the banner of each source, and one with the rows as they are."""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from surveysim.errors import ReadError
from surveysim.publishing.banner import Banner, Block
from surveysim.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openpyxl.worksheet.worksheet import Worksheet

MOST_ROWS, MOST_COLUMNS, LONGEST_NAME = 1_048_576, 16_384, 31  # of a sheet, and of its name: Excel's limits
HEADS = 4  # the row where the head of a banner begins
PREFIX = "'"  # what a spreadsheet takes for the mark of text
STARTS = ("=", "+", "-", "@", "\t", "\r")  # a text that begins so is computed by the program that opens the file
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f]"
ROWS = "rows"
LINE = 15  # points of height


def require_openpyxl() -> None:
    """Refuse to write an Excel file where the package for it is missing.

    Raises
    ------
    ReadError
        If openpyxl is not installed.
    """
    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise ReadError(
            'an .xlsx file is written by the package openpyxl, which is not installed: python -m pip install "surveysim-dsa[excel]", or '
            "openpyxl alone; or write a .csv"
        ) from error


def write_workbook(path: Path, made: Sequence[Banner], table: pd.DataFrame) -> Path:
    """Write banners and the rows behind them to an .xlsx file, which appears when it is complete.

    Parameters
    ----------
    path : Path
    made : sequence of Banner
        A sheet each.
    table : DataFrame
        Written as it is on a sheet of its own, with standard errors and intervals.

    Raises
    ------
    ReadError
        If openpyxl is not installed, or the rows or columns are more than a sheet holds.
    """
    require_openpyxl()
    from openpyxl import Workbook

    widest = max((2 + 2 * len(banner.columns) for banner in made), default=0)
    if len(table) >= MOST_ROWS or max(widest, table.shape[1]) > MOST_COLUMNS:
        raise ReadError(
            f"{path.name}: {len(table):,} rows and {max(widest, table.shape[1]):,} columns are more than an Excel sheet holds "
            f"({MOST_ROWS - 1:,} and {MOST_COLUMNS:,}); choose questions or backgrounds, or write a .parquet"
        )
    book = Workbook()
    book.remove(book.active)
    for banner in made:
        _draw(book.create_sheet(_sheet_name(banner.source, [ROWS, *book.sheetnames])), banner)
    _write_rows(book.create_sheet(ROWS), table)
    return write_whole(path, book.save)


def is_formula(value: object) -> bool:
    """Say whether a spreadsheet takes a text for a formula; a number that is written as text is none."""
    return isinstance(value, str) and value.startswith(STARTS) and not NUMBER.fullmatch(value)


def without_formula(value: object) -> object:
    """Return a text that no program takes for a formula, without control characters; anything else as it is.

    Examples
    --------
    >>> from surveysim.publishing.excel import without_formula
    >>> without_formula("=1+1"), without_formula("A lot"), without_formula(-0.5)
    ("'=1+1", 'A lot', -0.5)
    """
    if not isinstance(value, str):
        return value
    clean = re.sub(CONTROL, "", value)
    return f"{PREFIX}{clean}" if is_formula(clean) else clean


def _sheet_name(source: str, taken: Sequence[str]) -> str:
    """Return a name that Excel takes and no sheet has."""
    plain = re.sub(r"[\[\]:*?/\\']", " ", source).strip()[:LONGEST_NAME] or "table"
    known, number, name = {one.casefold() for one in taken}, 1, plain
    while name.casefold() in known:
        number += 1
        name = f"{plain[: LONGEST_NAME - 1 - len(str(number))]} {number}"
    return name


def _draw(sheet: Worksheet, banner: Banner) -> None:
    from openpyxl.styles import Font

    _set_widths(sheet, banner)
    _put(sheet, 1, 1, banner.title, font=Font(bold=True, size=13))
    _put(sheet, 2, 1, banner.survey)
    first = _draw_head(sheet, banner)
    row, last = first, 1 + 2 * len(banner.columns)
    for block in banner.blocks:
        row = _draw_block(sheet, block, row, last, banner.are_shares)
    for line in banner.foot:
        _put_across(sheet, row, last, line, font=Font(size=9, color="555555"))
        row += 1
    sheet.freeze_panes = f"B{first}"
    sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = "landscape", 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = f"{HEADS}:{first - 1}"


def _draw_head(sheet: Worksheet, banner: Banner) -> int:
    """Write a row of levels for each trait and one of letters; return the row after them."""
    from openpyxl.styles import Alignment, Font, PatternFill

    style = {"font": Font(bold=True), "fill": PatternFill("solid", fgColor="E8ECF1")}
    middle = Alignment(horizontal="center", vertical="bottom", wrap_text=True)
    lettered = [("", tuple(f"({letter})" for letter in banner.columns))]
    for place, (name, levels) in enumerate([*banner.heads, *lettered]):
        row = HEADS + place
        _put(sheet, row, 1, name, **style)
        for column, level in enumerate(levels):
            _put(sheet, row, _column(column), level, alignment=middle, **style)
            _put(sheet, row, _column(column) + 1, None, **style)
            sheet.merge_cells(start_row=row, start_column=_column(column), end_row=row, end_column=_column(column) + 1)
    return HEADS + len(banner.heads) + 1


def _draw_block(sheet: Worksheet, block: Block, row: int, last: int, are_shares: bool) -> int:
    """Write a question, its options and its sizes; return the row where the next begins."""
    from openpyxl.styles import Alignment, Font

    _put_across(sheet, row, last, f"{block.question}: {block.text}" if block.text else block.question, font=Font(bold=True))
    for line in (*block.lines, *block.sizes):
        row += 1
        is_size = line in block.sizes
        grey = Font(italic=True, color="555555") if is_size else Font()
        _put(sheet, row, 1, line.label, font=grey, alignment=Alignment(indent=1))
        number = "#,##0" if is_size else "0.0%" if are_shares else "0.00"
        for place, value in enumerate(line.values):
            _put(sheet, row, _column(place), value, font=grey, number_format=number, alignment=Alignment(horizontal="right"))
            if line.letters and line.letters[place]:
                _put(sheet, row, _column(place) + 1, line.letters[place], font=Font(size=9, color="1F4E8C"))
    return row + 2


def _column(place: int) -> int:
    return 2 + 2 * place


def _put(sheet: Worksheet, row: int, column: int, value: object, **style: Any) -> None:
    cell = sheet.cell(row, column)
    cell.value = without_formula(value)
    for name, given in style.items():
        setattr(cell, name, given)


def _put_across(sheet: Worksheet, row: int, last: int, text: str, **style: Any) -> None:
    """Write a text over all columns, in as many lines as it takes."""
    from openpyxl.styles import Alignment
    from openpyxl.utils import get_column_letter

    _put(sheet, row, 1, text, alignment=Alignment(wrap_text=True, vertical="top"), **style)
    sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=last)
    room = sum(sheet.column_dimensions[get_column_letter(column)].width for column in range(1, last + 1))
    sheet.row_dimensions[row].height = LINE * ceil(len(text) / room)


def _set_widths(sheet: Worksheet, banner: Banner) -> None:
    from openpyxl.utils import get_column_letter

    labels = [line.label for block in banner.blocks for line in block.lines]
    sheet.column_dimensions["A"].width = min(max([16, *(len(label) + 4 for label in labels)]), 48)
    for place in range(len(banner.columns)):
        longest = max(len(levels[place]) for _, levels in banner.heads)
        letters = max((len(line.letters[place]) for block in banner.blocks for line in block.lines if line.letters), default=0)
        sheet.column_dimensions[get_column_letter(_column(place))].width = max(9, min(longest, 24) - 3)
        sheet.column_dimensions[get_column_letter(_column(place) + 1)].width = max(3, min(letters + 1, 16))


def _write_rows(sheet: Worksheet, table: pd.DataFrame) -> None:
    from openpyxl.styles import Font

    sheet.append([without_formula(str(name)) for name in table.columns])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    plain = table.astype(object).where(table.notna(), None)
    for row in plain.itertuples(index=False):
        sheet.append([without_formula(value) for value in row])
    sheet.freeze_panes = "A2"
