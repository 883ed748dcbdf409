"""The rules of the DDI-Codebook 2.5 schema for the elements that `write_ddi` writes: which stand in which, in which order, with what.

Written down from the published schema's documentation (https://ddialliance.org/Specification/DDI-Codebook/2.5/), which is not
ours to ship. Elements that are never written are left out of the sequences; their place does not matter then.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

DDI, XML = "{ddi:codebook:2_5}", "{http://www.w3.org/XML/1998/namespace}"
SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
MANY, ONE, MAY = "*", "1", "?"
# element -> its children in the schema's order, each with how often it may stand; text elements have none
SEQUENCE: dict[str, tuple[tuple[str, str], ...]] = {
    "codeBook": (("stdyDscr", ONE), ("fileDscr", MANY), ("dataDscr", MANY)),
    "stdyDscr": (("citation", ONE), ("stdyInfo", MANY), ("dataAccs", MANY), ("notes", MANY)),
    "citation": (("titlStmt", ONE), ("prodStmt", MAY), ("biblCit", MAY)),
    "titlStmt": (("titl", ONE), ("IDNo", MANY)),
    "prodStmt": (("producer", MANY),),
    "stdyInfo": (("sumDscr", MANY),),
    "sumDscr": (("collDate", MANY), ("nation", MANY)),
    "dataAccs": (("useStmt", MANY),),
    "useStmt": (("conditions", MAY),),
    "fileDscr": (("fileTxt", MANY),),
    "fileTxt": (("fileName", MAY),),
    "dataDscr": (("var", MANY),),
    "var": (("labl", MANY), ("qstn", MANY), ("universe", MANY), ("txt", MANY), ("catgry", MANY), ("varFormat", MAY), ("notes", MANY)),
    "qstn": (("qstnLit", MANY),),
    "catgry": (("catValu", MAY), ("labl", MANY)),
}
LANGUAGE = f"{XML}lang"
# element -> attribute -> values, None for any
ATTRIBUTES: dict[str, dict[str, set[str] | None]] = {
    "codeBook": {"version": None, LANGUAGE: None, SCHEMA_LOCATION: None},
    "IDNo": {"agency": None},
    "fileDscr": {"ID": None},
    "var": {
        "ID": None, "name": None, "wgt": {"wgt", "not-wgt"}, "wgt-var": None, "intrvl": {"contin", "discrete"},
        "nature": {"nominal", "ordinal", "interval", "ratio", "percent", "other"},
    },
    "qstn": {"responseDomainType": {"text", "numeric", "code", "category", "datetime", "geographic", "multiple", "other"}},
    "qstnLit": {LANGUAGE: None},
    "labl": {LANGUAGE: None},
    "catgry": {"missing": {"Y", "N"}},
    "varFormat": {
        "type": {"character", "numeric"}, "schema": {"SAS", "SPSS", "IBM", "ANSI", "ISO", "XML-Data", "other"}, "formatname": None,
    },
    "notes": {"type": None},
}  # fmt: skip


def breaches(path: Path) -> list[str]:
    """Return what a file does against the rules; empty where it keeps them all."""
    root = ElementTree.parse(path).getroot()
    found = [] if root.tag == f"{DDI}codeBook" else [f"the root is {root.tag}"]
    identifiers: Counter[str] = Counter()
    referred: set[str] = set()
    for element in root.iter():
        found += _misplaced(element) + _odd_attributes(element)
        identifiers.update([element.attrib["ID"]] if "ID" in element.attrib else [])
        referred.update(element.get("wgt-var", "").split())
    found += [f"ID {name} stands {times} times" for name, times in identifiers.items() if times > 1]
    found += [f"ID {name} is no XML name" for name in identifiers if not name.isidentifier()]
    return found + [f"wgt-var {name} leads nowhere" for name in referred - set(identifiers)]


def _misplaced(element: ElementTree.Element) -> list[str]:
    name = element.tag.removeprefix(DDI)
    order = [child for child, _ in SEQUENCE.get(name, ())]
    children = [child.tag.removeprefix(DDI) for child in element]
    found = [f"{child} in {name}" for child in children if child not in order]
    if found:
        return found
    found += [f"the children of {name} stand as {children}"] if children != sorted(children, key=order.index) else []
    counts = Counter(children)
    found += [f"{name} has no {child}" for child, often in SEQUENCE.get(name, ()) if often == ONE and counts[child] != 1]
    found += [f"{name} has {counts[child]} {child}" for child, often in SEQUENCE.get(name, ()) if often == MAY and counts[child] > 1]
    return found + ([f"text in {name}"] if order and (element.text or "").strip() else [])


def _odd_attributes(element: ElementTree.Element) -> list[str]:
    name = element.tag.removeprefix(DDI)
    known = ATTRIBUTES.get(name, {})
    found = [f"attribute {key} of {name}" for key in element.attrib if key not in known]
    found += [f"{name} {key}={value}" for key, value in element.attrib.items() if (allowed := known.get(key)) and value not in allowed]
    return found + ([f"{name} without name"] if name == "var" and not element.get("name") else [])
