"""Encodings by name: ``"add(learned) + rotary(base=5e5)"`` is parsed, checked and built. Nothing is evaluated."""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Any, get_args

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import Code
from locant.encodings.composition import Chain


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that encodings need: its width, heads, layers, and the length it is trained on."""

    width: int
    heads: int
    layers: int = 1
    length: int | None = None
    columns: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, was: {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"expected a width divisible by the {self.heads} heads, was: {self.width}")
        if self.length is not None and self.length < 1:
            raise ValueError(f"expected a length of at least 1, was: {self.length}")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def position_columns(self) -> int:
        """Columns that position gets apart from the token's: a quarter of the width (even) unless given."""
        return max(2, self.width // 8 * 2) if self.columns is None else self.columns

    def table(self, limit: int | None) -> int:
        """Rows of a table of positions: ``limit`` if given, else the length."""
        if limit is None and self.length is None:
            raise ValueError("expected limit=... in the expression or a length, as a table needs a size, was: neither")
        return int(limit if limit is not None else self.length)  # type: ignore[arg-type]


MakeCode = Callable[[int], Code]
"""What an expression such as ``learned(limit=128)`` stands for: a code, once its width is known."""
Builder = Callable[..., PositionalEncoding]
"""``builder(shape, *parts, **options)``."""


def canonical(expression: str) -> str:
    """The expression in its one spelling (spaces, quotes), which names experiments. Raises ValueError if it is none."""
    return ast.unparse(_syntax(expression))


LONGEST = 1000  # characters; bounds the depth of the recursions below


def _syntax(expression: str) -> ast.expr:
    if len(expression) > LONGEST:
        raise ValueError(f"expected an expression of at most {LONGEST} characters, was: {len(expression)} of them")
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        ast.unparse(node)
        return node
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"expected an encoding such as 'add(learned) + rotary', was: {expression!r}") from None


@dataclass(frozen=True)
class Parser:
    """Builds what an expression says from the builders that it is given.

    encodings: name to ``builder(shape, ...)``; codes: name to ``builder(shape, width, ...)``.
    Positional arguments are themselves expressions (codes or encodings), keyword arguments are numbers, words or
    true/false. Anything else is refused with ValueError, which names the bad part and what there is.
    """

    shape: Shape
    encodings: Mapping[str, Builder]
    codes: Mapping[str, Callable[..., Code]]

    def build(self, expression: str) -> PositionalEncoding:
        return self._encoding(_syntax(expression))

    def _encoding(self, node: ast.expr) -> PositionalEncoding:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return Chain(*[self._encoding(part) for part in _summands(node)])
        name, arguments, options = _call(node)
        builder = _find(name, self.encodings, "encoding", others={"code": self.codes})
        wants_code = any(
            p.annotation is MakeCode for p in inspect.signature(builder, eval_str=True).parameters.values()
        )
        parts: list[Any] = [self._code(a) if wants_code else self._encoding(a) for a in arguments]
        return _apply(name, builder, (self.shape, *parts), options, written=len(parts))

    def _code(self, node: ast.expr) -> MakeCode:
        name, arguments, options = _call(node)
        builder = _find(name, self.codes, "code", others={"encoding": self.encodings})
        if arguments:
            raise ValueError(f"expected only named options in {name}(...), was: {ast.unparse(node)}")

        def make(width: int) -> Code:
            code: Code = _apply(name, builder, (self.shape, width), options, written=0)
            return code

        return make


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), *_summands(node.right)]
    return [node]


def _call(node: ast.expr) -> tuple[str, list[ast.expr], dict[str, Any]]:
    if isinstance(node, ast.Name):
        return node.id, [], {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        options: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError(f"expected options as name=value, was: {ast.unparse(node)}")
            if keyword.arg in options:
                raise ValueError(f"expected every option once, was: {keyword.arg!r} twice in {ast.unparse(node)}")
            options[keyword.arg] = _value(keyword.value)
        return node.func.id, node.args, options
    raise ValueError(f"expected a name, a call or a sum of them, was: {ast.unparse(node)!r}")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):  # a bare word: layout=half
        return node.id
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        value = None
    if not isinstance(value, int | float | str | bool):
        raise ValueError(f"expected a number, a word or true/false as an option, was: {ast.unparse(node)!r}")
    if not isinstance(value, str) and not abs(value) < 2**63:
        raise ValueError(f"expected a number below 2 ** 63, was: {ast.unparse(node)!r}")
    return value


def _fits(value: Any, annotation: Any) -> bool:
    if isinstance(value, bool):
        return annotation in (bool, inspect.Parameter.empty)
    if annotation is float or float in get_args(annotation):
        return isinstance(value, int | float)
    return annotation is inspect.Parameter.empty or isinstance(value, annotation)


def _find(name: str, table: Mapping[str, Any], kind: str, *, others: Mapping[str, Mapping[str, Any]]) -> Any:
    if name in table:
        return table[name]
    for other, names in others.items():
        if name in names:
            raise ValueError(f"expected an {kind} here, was: the {other} {name!r}".replace("an code", "a code"))
    close = get_close_matches(name, table, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"expected one of {', '.join(sorted(table))}, was: {name!r}{hint}")


def _apply(name: str, builder: Any, given: tuple[Any, ...], options: dict[str, Any], *, written: int) -> Any:
    signature = inspect.signature(builder, eval_str=True)
    known = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"expected the options {', '.join(known) or '(none)'} of {name}, was: {unknown[0]!r}")
    for option, value in options.items():
        if not _fits(value, signature.parameters[option].annotation):
            annotation = signature.parameters[option].annotation
            kinds = [kind.__name__ for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
            wanted = " or ".join(kinds)
            raise ValueError(f"expected {option} of {name} to be of type {wanted}, was: {value!r}")
    try:
        signature.bind(*given, **options)
    except TypeError:
        takes = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
        count = "one argument" if takes else "no arguments"
        what = f"{name}({', '.join(takes)})" if takes else name
        raise ValueError(f"expected {what}, {count}, was: {name} with {written}") from None
    return builder(*given, **options)
