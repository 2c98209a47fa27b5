"""One expression in CEL: bounded in size and time, checked when it is saved, and able to say which part of it
is not true and which fields that part reads.

The library's interpreter runs it, never code made from it. What the library leaves open is closed here: only
known variables, fields and functions may be named, and a run makes a limited number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import celpy.evaluation as cel
import lark
import re2  # type: ignore[import-untyped]  # it has no stubs
from celpy import celtypes
from celpy.celparser import CELParseError, CELParser
from google.protobuf.descriptor import Descriptor

from services.opportunities.criteria import facts
from services.opportunities.criteria.facts import Record

LONGEST: Final = 1000
"""Characters."""
_DEEPEST: Final = 250
"""Levels of the syntax tree as it is parsed: about eighteen pairs of brackets."""
STEPS: Final = 8_000
"""How many parts of an expression are looked at before it is given up: about a fifth of a second."""
_KEPT: Final = 1000
_QUIET: Final = re2.Options()
_QUIET.log_errors = False

_FUNCTIONS: Final = frozenset({"has", "size", "double", "int", "string", "bool", "timestamp", "duration"})
_METHODS: Final = frozenset(
    {
        "size", "contains", "startsWith", "endsWith", "matches", "getDate", "getDayOfMonth", "getDayOfWeek",
        "getDayOfYear", "getFullYear", "getMonth", "getHours", "getMilliseconds", "getMinutes", "getSeconds",
    }
)  # fmt: skip
_MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
_PLAIN: Final = frozenset(
    {"expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary", "member",
     "primary", "paren_expr"}
)  # fmt: skip
"""Rules that stand for their only child where they have one."""
_CLOSED: Final = {"map_lit": "a map", "member_object": "a message", "dot_ident": "a name that begins with a dot",
                  "dot_ident_arg": "a name that begins with a dot"}  # fmt: skip


class ExpressionError(Exception):
    """An expression that cannot be used; the text says why, for whoever wrote it."""


class TooManySteps(Exception):
    """A run was given up."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A part of an expression that is not true, and the deal's fields that it reads."""

    text: str
    fields: tuple[str, ...]


class Expression:
    """An expression that was parsed and found sound."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree = _parse(text)
        self.steps = _Check(self._tree).steps
        """How many parts are looked at for a deal whose lists are as long as they may be."""
        self.fields = frozenset(_fields(self._tree))
        """The fields of the deal that it reads."""

    def failing(self, variables: Mapping[str, Any]) -> tuple[Failing, ...]:
        """The parts that are not true of a deal; none where it is true as a whole."""
        budget = [2 * STEPS]  # once as a whole, and once to find the part
        if _is_true(self._tree, variables, budget):
            return ()
        return tuple(
            Failing(_source(self.text, part), tuple(dict.fromkeys(_fields(part))))
            for part in _untrue(self._tree, variables, budget)
        )


@lru_cache(maxsize=_KEPT)
def compiled(text: str) -> Expression:
    """The expression, parsed and checked once however many deals it judges.

    Raises:
        ExpressionError: it cannot be used.
    """
    return Expression(text)


def _parse(text: str) -> lark.Tree[Any]:
    if len(text) > LONGEST:
        raise ExpressionError(f"it is longer than {LONGEST} characters")
    try:
        tree = CELParser().parse(text)
    except CELParseError as error:
        column = error.column or len(text) + 1
        raise ExpressionError(f"it cannot be read at character {column}") from None
    except (ValueError, IndexError) as error:  # the lexer's own, of escapes that make no sense
        raise ExpressionError(f"it cannot be read: {error}") from None
    if _depth(tree) > _DEEPEST:
        raise ExpressionError("it is nested too deeply")
    return cast("lark.Tree[Any]", _shortened(tree))


def _depth(tree: lark.Tree[Any]) -> int:
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        here, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in here.children if isinstance(child, lark.Tree))
    return deepest


def _shortened(tree: lark.Tree[Any] | lark.Token) -> lark.Tree[Any] | lark.Token:
    """The tree without the rules that only hand on their child: a run takes a tenth of the steps."""
    if isinstance(tree, lark.Token):
        return tree
    children = [_shortened(child) for child in tree.children]
    if tree.data in _PLAIN and len(children) == 1 and isinstance(children[0], lark.Tree):
        child = children[0]
        if tree.data != "primary" or child.data not in ("literal", "list_lit", "ident_arg", "ident"):
            return child
    return lark.Tree(tree.data, children, tree.meta)


def _is_true(tree: lark.Tree[Any], variables: Mapping[str, Any], budget: list[int]) -> bool:
    try:
        value = _Run(tree, budget, variables).evaluate()
    except TooManySteps:
        return False
    except Exception:  # noqa: BLE001  # whatever went wrong with a deal's values, the criterion is not met
        return False
    return isinstance(value, celtypes.BoolType) and bool(value)


def _untrue(
    tree: lark.Tree[Any], variables: Mapping[str, Any], budget: list[int]
) -> Iterator[lark.Tree[Any]]:
    """The smallest parts, joined by `&&`, that are not true."""
    if tree.data == "conditionaland" and len(tree.children) == 2:
        parts = [part for part in tree.children if not _is_true(part, variables, budget)]
        for part in parts:
            yield from _untrue(part, variables, budget)
        if parts:
            return
    yield tree


def _source(text: str, tree: lark.Tree[Any]) -> str:
    return text[tree.meta.start_pos : tree.meta.end_pos]


def _fields(tree: lark.Tree[Any]) -> Iterator[str]:
    """The fields of the deal that a part reads, as they are written in it."""
    nodes = tree.find_pred(lambda node: node.data == "member_dot")
    for node in sorted(nodes, key=lambda node: node.meta.end_pos):
        if _name(node.children[0]) == "opportunity":
            yield str(node.children[1])


def _name(tree: Any) -> str:
    """The variable that a part is; empty where it is more than one."""
    while isinstance(tree, lark.Tree) and tree.data == "primary":
        tree = tree.children[0]
    return str(tree.children[0]) if isinstance(tree, lark.Tree) and tree.data == "ident" else ""


def _mixed(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Whole numbers compare and reckon with others, as one expects of `amount.value > 1000`."""

    def operated(one: Any, other: Any) -> Any:
        if isinstance(one, celtypes.DoubleType) and isinstance(other, celtypes.IntType):
            other = celtypes.DoubleType(other)
        elif isinstance(one, celtypes.IntType) and isinstance(other, celtypes.DoubleType):
            one = celtypes.DoubleType(one)
        return operate(one, other)

    return operated


_OPERATORS: Final = {
    name: _mixed(cast("Callable[[Any, Any], Any]", cel.base_functions[name]))
    for name in ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_+_", "_-_", "_*_", "_/_")
}
_FUNCTIONS_OF_ALL: Final = cel.Activation(functions=_OPERATORS)


class _Run(cel.Evaluator):
    """One run over one deal, within a number of steps that all its parts share."""

    def __init__(self, tree: lark.Tree[Any], budget: list[int], names: Mapping[str, Any]) -> None:
        super().__init__(tree, _FUNCTIONS_OF_ALL)
        self.budget = budget
        self._around = self._names = names
        self._asks_presence = False

    # The library copies its whole world for each item of a list; a dictionary does as well.
    def set_activation(self, values: Mapping[str, Any]) -> cel.Evaluator:
        self._names = {**self._around, **values}
        return self

    def ident_value(self, name: str, root_scope: bool = False) -> Any:
        return self._names[name]

    def sub_evaluator(self, ast: lark.Tree[Any]) -> cel.Evaluator:
        return type(self)(ast, self.budget, self._names)

    def _visit_tree(self, tree: lark.Tree[Any]) -> Any:
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise TooManySteps
        return getattr(self, tree.data)(tree)

    def macro_has_eval(self, exprlist: lark.Tree[Any]) -> celtypes.BoolType:
        before, self._asks_presence = self._asks_presence, True
        try:
            return super().macro_has_eval(exprlist)
        finally:
            self._asks_presence = before

    def member_dot(self, tree: lark.Tree[Any]) -> Any:
        member, name = self.visit(tree.children[0]), str(tree.children[1])
        if isinstance(member, cel.CELEvalError):
            return member
        if not isinstance(member, Record):
            return cel.CELEvalError(f"there is no field {name}", TypeError, None, tree=tree)
        if member.holds(name):
            return member.value(name)
        default = None if self._asks_presence else member.default(name)
        return (
            cel.CELEvalError(f"{name} is not set", KeyError, None, tree=tree) if default is None else default
        )


class _Trial(_Run):
    """A run that looks at every branch, so that nothing wrong hides behind what is false already."""

    def _both(self, tree: lark.Tree[Any], operator: str) -> Any:
        if len(tree.children) == 1:
            return self.visit(tree.children[0])
        values = [self.visit(child) for child in tree.children]
        wrong = [value for value in values if isinstance(value, cel.CELEvalError)]
        if wrong:
            return wrong[0]
        try:
            return self.activation.resolve_function(operator)(*values)
        except TypeError:
            return cel.CELEvalError("no matching overload", TypeError, None, tree=tree)

    def conditionaland(self, tree: lark.Tree[Any]) -> Any:
        return self._both(tree, "_&&_")

    def conditionalor(self, tree: lark.Tree[Any]) -> Any:
        return self._both(tree, "_||_")

    def expr(self, tree: lark.Tree[Any]) -> Any:
        return self._both(tree, "_?_:_")


class _Check:
    """Refuses an expression that names what is not there, that is not true or false, or that would take too
    long. What each part is follows from the proto: a message, a list of something, or a plain value."""

    def __init__(self, tree: lark.Tree[Any]) -> None:
        self._shape(tree, {})
        if not any(str(node.children[0]) in facts.VARIABLES for node in tree.find_data("ident")):
            raise ExpressionError("it says nothing of the opportunity")
        try:
            value = _Trial(tree, [STEPS], facts.sample(is_large=False)).evaluate()
        except cel.CELEvalError as error:
            if error.args[1:2] == (TypeError,):
                raise ExpressionError("it compares or combines what does not go together") from None
            value = celtypes.BoolType(False)  # a value of the example did not suit it; another may
        except TooManySteps:
            raise ExpressionError("it would take too long") from None
        except Exception:  # noqa: BLE001  # the library's own; other values may suit it
            value = celtypes.BoolType(False)
        if not isinstance(value, celtypes.BoolType):
            raise ExpressionError("it must be true or false")
        budget = [STEPS]
        try:
            _Run(tree, budget, facts.sample(is_large=True)).evaluate()
        except TooManySteps:
            raise ExpressionError("it would take too long for a deal with long lists") from None
        except Exception:  # noqa: BLE001, S110  # only the time counts here
            pass
        self.steps = STEPS - budget[0]

    def _shape(self, tree: Any, names: Mapping[str, Any]) -> Any:
        """A Descriptor, `[shape]` for a list, or None for a plain value."""
        if isinstance(tree, lark.Token):
            return None
        if tree.data in _CLOSED:
            raise ExpressionError(f"it holds {_CLOSED[tree.data]}, which criteria do not know")
        handler = getattr(self, f"_{tree.data}", None)
        if handler is not None:
            return handler(tree, names)
        shapes = [self._shape(child, names) for child in tree.children]
        return shapes[0] if tree.data == "primary" and len(shapes) == 1 else None

    def _ident(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        name = str(tree.children[0])
        if name in names:
            return names[name]
        if name not in facts.VARIABLES:
            known = ", ".join(sorted(facts.VARIABLES))
            raise ExpressionError(f"there is no variable {name}; there are {known}")
        return facts.OPPORTUNITY if name == "opportunity" else None

    def _member_dot(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        owner, name = self._shape(tree.children[0], names), str(tree.children[1])
        if owner == facts.MONEY:
            if name not in ("value", "currency_code"):
                raise ExpressionError(f"an amount has a value and a currency_code, and no {name}")
            return None
        if not isinstance(owner, Descriptor):
            raise ExpressionError(f"what stands before .{name} has no fields")
        field = facts.fields_of(owner).get(name)
        if field is None:
            raise ExpressionError(f"{owner.name} has no field {name}")
        shape: Any = None
        if facts.is_message(field):
            kind = facts.message_of(field)
            shape = facts.MONEY if kind.full_name == facts.MONEY else kind
        return [shape] if field.is_repeated else shape

    def _member_index(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        owner, _ = (self._shape(child, names) for child in tree.children)
        if not isinstance(owner, list):
            raise ExpressionError("only a list has items")
        return owner[0]

    def _member_dot_arg(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        owner, name = self._shape(tree.children[0], names), str(tree.children[1])
        arguments = tree.children[2].children if len(tree.children) > 2 else []
        if name in _MACROS:
            variable = _name(arguments[0]) if len(arguments) == 2 else ""
            if not variable or variable in facts.VARIABLES or variable in names:
                raise ExpressionError(f"{name} needs a new variable and an expression")
            if not isinstance(owner, list):
                raise ExpressionError(f"{name} looks through a list")
            inner = self._shape(arguments[1], {**names, variable: owner[0]})
            return owner if name == "filter" else [inner] if name == "map" else None
        if name not in _METHODS:
            raise ExpressionError(f"there is no function {name}")
        for argument in arguments:
            self._shape(argument, names)
        if name == "matches":
            self._check_pattern(arguments)
        return None

    def _ident_arg(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        name = str(tree.children[0])
        if name not in _FUNCTIONS:
            raise ExpressionError(f"there is no function {name}")
        arguments = tree.children[1].children if len(tree.children) > 1 else []
        if len(arguments) != 1:
            raise ExpressionError(f"{name} takes one value")
        if name == "has" and not (isinstance(arguments[0], lark.Tree) and arguments[0].data == "member_dot"):
            raise ExpressionError("has asks for a field: has(opportunity.amount)")
        self._shape(arguments[0], names)
        return None

    def _list_lit(self, tree: lark.Tree[Any], names: Mapping[str, Any]) -> Any:
        for child in tree.children:
            for item in child.children:
                self._shape(item, names)
        return [None]

    def _check_pattern(self, arguments: list[Any]) -> None:
        text = arguments[0] if len(arguments) == 1 else None
        if isinstance(text, lark.Tree) and text.data == "primary":
            text = text.children[0]
        if not isinstance(text, lark.Tree) or text.data != "literal":
            raise ExpressionError("matches takes a pattern that is written out")
        try:
            re2.compile(str(cel.celstr(cast("lark.Token", text.children[0]))), _QUIET)
        except re2.error:
            raise ExpressionError("the pattern of matches is no regular expression") from None
