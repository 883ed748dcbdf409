"""How the public verbs are called: which arguments they take and of which kind, and what a wrong one hears."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from numbers import Integral, Real
from os import PathLike
from types import FunctionType
from typing import Any

from surveysim.errors import PACKAGE, ArgumentError, first_few, quoted

BROUGHT = {  # by the survey that is the first argument
    "weight": "a survey brings its weight: choose it where the survey is made, as in read_survey(path, weight=...)",
    "codebook": "a survey brings its codebook",
}


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) or (isinstance(value, Real) and value % 1 == 0)


def _are_whole(values: Any) -> bool:
    return isinstance(values, Collection) and not isinstance(values, str | Mapping) and all(map(_is_whole, values))


def _is_listed(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_named("Series")(value)


def _is_named(*names: str) -> Callable[[Any], bool]:
    return lambda value: any(kind.__name__ in names for kind in type(value).__mro__)


_SURVEY_TO_TABLE = "a function of a survey that returns a distributions table, as lambda part: ss.simulate(part, backgrounds)"
_NUMBERS = "a mapping of names to numbers"
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # of arguments that are annotated so -> what is wanted, and whether a value is
    "str": ("text", lambda value: isinstance(value, str)),
    "str | Path": ("a path", lambda value: isinstance(value, str | PathLike)),
    "bool": ("True or False", lambda value: type(value).__name__ in ("bool", "bool_") or (isinstance(value, Integral) and value in (0, 1))),
    "int": ("a whole number", _is_whole),
    "float": ("a number", lambda value: isinstance(value, Real)),
    "Sequence[int]": ("a list of whole numbers", _are_whole),
    "Sequence[int] | int": ("a whole number or a list of them", lambda value: _is_whole(value) or _are_whole(value)),
    "Sequence[Code]": ("a list of codes", _is_listed),
    "Sequence[Code] | str": ("a list of codes, or text", lambda value: isinstance(value, str) or _is_listed(value)),
    "Mapping[str, float]": (_NUMBERS, _is_mapping),
    "Mapping[str, int]": (_NUMBERS, _is_mapping),
    "Mapping[str, str]": ("a mapping of names to text", _is_mapping),
    "Mapping[str, str | Sequence[str]]": ("a mapping of names to names", _is_mapping),
    "Levels": ("a mapping of traits to their levels in order", _is_mapping),
    "Estimator": (_SURVEY_TO_TABLE, callable),
    "Callable[..., pd.DataFrame]": (_SURVEY_TO_TABLE, callable),
    "CrossFit": ("what cross_fit returns", _is_named("CrossFit")),
    "Survey | Design": ("a Survey or a Design", _is_named("Survey", "Design")),
    "PromptTemplate": ("a PromptTemplate", _is_named("PromptTemplate")),
}
SEED = "seed"
Check = Callable[[Sequence[Any], Mapping[str, Any]], None]  # of what is given without a name, and of what with one


def as_called(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Return a public verb as users call it: arguments that it does not take, or lacks, are refused with the nearest and the remedy.

    So is text where a number belongs, a list where text does, and the like, by the annotations (`KINDS`); an annotation that is none of
    these leaves it to the verb. Signature, docstring and source stay those of the verb; it is pickled by its public name.

    Examples
    --------
    >>> from surveysim.calls import as_called
    >>> from surveysim.errors import ArgumentError
    >>> def head(table, *, rows=5):
    ...     return table[:rows]
    >>> try:
    ...     as_called(head)("abcdefg", n_rows=2)
    ... except ArgumentError as error:
    ...     print(error)
    head() takes no argument 'n_rows'; did you mean 'rows'?
    """
    check = _check(verb.__name__, list(inspect.signature(verb).parameters.values()))

    @wraps(verb)
    def called(*given: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        check(given, named)
        return verb(*given, **named)

    called.__module__ = PACKAGE
    return called


def as_used(kind: type) -> type:
    """Let a public class hear of wrong arguments what a verb does: its methods as of `as_called`, and, by their names, what it is made of.

    Examples
    --------
    >>> import surveysim as ss
    >>> try:
    ...     ss.StageConfig("option_kl", epoch=2)
    ... except ss.SurveySimError as error:
    ...     print(error)
    StageConfig() takes no argument 'epoch'; did you mean 'epochs'?
    """
    for name, method in list(vars(kind).items()):
        if isinstance(method, FunctionType) and name == "__init__":
            setattr(kind, name, _method(method, kind.__name__, kinds=False))
        elif isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(kind, name, _method(method, f"{kind.__name__}.{name}"))
    return kind


def _method(method: Callable[..., Any], title: str, *, kinds: bool = True) -> Callable[..., Any]:
    check = _check(title, list(inspect.signature(method).parameters.values())[1:], kinds=kinds)

    @wraps(method)
    def called(self: Any, /, *given: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        check(given, named)
        return method(self, *given, **named)

    return called


def _check(title: str, parameters: Sequence[inspect.Parameter], *, kinds: bool = True) -> Check:
    """Return what refuses wrong arguments of a call of `title`, those without a name and those with one."""
    names, any_number = [each.name for each in parameters], any(each.kind is each.VAR_POSITIONAL for each in parameters)
    places = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    taken, required = frozenset(names), frozenset(needed)
    checked = {each.name: each for each in parameters if kinds and _kind(each) in KINDS}

    def check(given: Sequence[Any], named: Mapping[str, Any]) -> None:
        __tracebackhide__ = True
        told = {*places[: len(given)], *named}
        if told <= taken and told >= required and (any_number or len(given) <= len(places)):
            for name, value in (*zip(places, given, strict=False), *named.items()):
                if name in checked:
                    _refuse_other_kinds(checked[name], value)
            return
        if unknown := [name for name in named if name not in taken]:
            said = f"takes no argument {unknown[0]!r}; {_in_its_place(unknown[0], names)}"
        elif len(given) > len(places) and not any_number:
            rest = names[len(places) :]
            said = f"takes {', '.join(places) or 'nothing'} without a name, and {len(given)} were given"
            said += f"; name the others: {_named(rest)}" if rest else ""
        else:
            said = f"lacks an argument; give {_named([name for name in needed if name not in told])}"
        raise ArgumentError(f"{title}() {said}")

    return check


def _in_its_place(name: str, names: Sequence[str]) -> str:
    """Say which of a verb's arguments is meant by a name that none has: one that shares a word, else one that is spelt alike."""
    words = _words(name)
    alike = [each for each in names if words & _words(each)]
    brought = [said for word, said in BROUGHT.items() if word in words and not any(word in _words(each) for each in names)]
    if brought and names[:1] == ["survey"]:
        return brought[0]
    near = alike or get_close_matches(name.lower(), names, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"it takes {', '.join(names)}" if names else "it takes none"


def _words(name: str) -> set[str]:
    return {word.removesuffix("s") for word in name.lower().split("_")}


def _named(names: Sequence[str]) -> str:
    return first_few(f"{name}=" for name in names)


def _kind(parameter: inspect.Parameter) -> str:
    return str(parameter.annotation).removesuffix(" | None")


def _refuse_other_kinds(parameter: inspect.Parameter, value: Any) -> None:
    """Refuse a value of another kind than the parameter's plain annotation names; a seed is at least 0."""
    if value is None and str(parameter.annotation).endswith(" | None"):
        return
    wanted, is_one = KINDS[_kind(parameter)]
    if not is_one(value) or (parameter.name == SEED and value < 0):
        wanted += ", at least 0" if parameter.name == SEED else ""
        default = "" if parameter.default is parameter.empty else f"; its default is {parameter.default!r}"
        raise ArgumentError(f"{parameter.name} must be {wanted}; got {type(value).__name__} {quoted(value)}{default}")
