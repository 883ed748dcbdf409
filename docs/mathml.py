"""Formulas as MathML, which browsers draw themselves: no script, no network, and screen readers can read them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ALIASES = {r"\\dots\b": r"\\ldots", r"\\[Bb]igg?[lr]?\b": ""}  # commands of TeX that docutils does not know, and what it calls them
ACCENTS = "ˆˉ˜˙¯^~"

ElementTree.register_namespace("", NAMESPACE)


def mathml(formula: str, *, block: bool) -> str:
    """Return a formula of LaTeX as MathML."""
    for command, known in ALIASES.items():
        formula = re.sub(command, known, formula)
    # XML knows no other names
    text = re.sub(r"&(?!lt;|gt;|amp;|#)\w+;", lambda name: unescape(name[0]), tex2mathml(formula, as_block=block))
    root = ElementTree.fromstring(text)
    for stacked in root.iter(f"{{{NAMESPACE}}}munderover"):
        _index_beside_accent(stacked)
    return ElementTree.tostring(root, encoding="unicode")


def _index_beside_accent(stacked: ElementTree.Element) -> None:
    """Put the index of an accented letter where TeX puts it: docutils writes it under the letter."""
    letter, index, accent = stacked
    if accent.tag != f"{{{NAMESPACE}}}mo" or (accent.text or "").strip() not in ACCENTS:
        return
    accented = ElementTree.Element(f"{{{NAMESPACE}}}mover", {"accent": "true"})
    accented.extend([letter, accent])
    stacked.tag, stacked[:] = f"{{{NAMESPACE}}}msub", [accented, index]


def _inline(writer: Any, node: nodes.Element) -> None:
    writer.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.Element) -> None:
    writer.body.append(f'<div class="formula">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Enter the renderer; Sphinx calls this."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
