"""Filters as AIP-160 describes them: text → tree → SQL condition.

The text is parsed by a grammar, the names are looked up among the fields that a list declares, and
every constant becomes a bind parameter of its field's type. Whatever is wrong is refused as the
argument `filter`, with the position and what would be right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import eq, ge, gt, le, lt

import sqlalchemy as sa
from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, v_args
from lark.exceptions import VisitError

from chassis.errors import InvalidArgument
from chassis.fields import Condition, Field, FieldType, bound, contains, field_named, is_absent, is_present

MAX_LENGTH = 4000
MAX_DEPTH = 20
MAX_PARENTHESES = 100
MAX_COMPARISONS = 200

# The grammar of https://google.aip.dev/assets/misc/ebnf-filtering.txt: OR binds tighter than
# juxtaposition, which binds tighter than AND. Added: an instant may stand without quotes, and a
# number may be negative. Functions are read in order to be refused by name.
_GRAMMAR = r"""
    start: [expression]
    expression: sequence ("AND" sequence)*
    sequence: factor+
    factor: term ("OR" term)*
    ?term: simple | ("NOT" | MINUS) simple -> negation
    ?simple: restriction | "(" expression ")"
    restriction: (member | function) [COMPARATOR arg]
    function: FUNCTION [arg ("," arg)*] ")"
    member: value ("." value)*
    ?arg: INSTANT -> instant | member | MINUS member -> negative | "(" expression ")"
    ?value: TEXT -> text | STRING -> string

    MINUS: "-"
    COMPARATOR: "<=" | "<" | ">=" | ">" | "!=" | "=" | ":"
    INSTANT.3: /\d{4}-\d\d-\d\d[Tt][0-9:]+(\.[0-9]+)?([Zz]|[+-]\d\d:\d\d)?/
    FUNCTION.2: /(?!(?:NOT|AND|OR)\()[A-Za-z_][A-Za-z0-9_.]*\(/
    STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
    TEXT: /[^\s"'()<>=!:,.\-][^\s"'()<>=!:,.]*/
    %import common.WS
    %ignore WS
"""

_EXPECTED = {
    "TEXT": "a name or value",
    "COMPARATOR": "a comparison (= != < <= > >= :)",
    "LPAR": "(",
    "RPAR": ")",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "$END": "the end",
}


_SQL = {":": eq, "=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


class FilterInvalid(InvalidArgument):
    """The filter cannot be understood, or not for this list."""

    def __init__(self, sentence: str, position: int | None = None) -> None:
        where = "" if position is None else f"At character {position + 1}: "
        super().__init__(f"{where}{sentence}", field="filter")


@dataclass(frozen=True, slots=True)
class Literal:
    """A value, or a name that stands alone: its text, and the pieces between its wildcards."""

    text: str
    pieces: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name operator value`."""

    name: str
    operator: str
    value: Literal
    position: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    node: "Node"


@dataclass(frozen=True, slots=True)
class All:
    """AND."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """OR."""

    nodes: tuple["Node", ...]


Node = Literal | Comparison | Not | All | Any


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood; `root` is None for the empty one, which everything passes."""

    root: Node | None

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> "Filter":
        """Reads a filter; FilterInvalid where it is not one."""
        if len(text) > MAX_LENGTH:
            raise FilterInvalid(f"A filter has at most {MAX_LENGTH} characters.")
        if text.count("(") > MAX_PARENTHESES:
            raise FilterInvalid(f"A filter has at most {MAX_PARENTHESES} parentheses.")
        try:
            root: Node | None = _parser.parse(text)  # type: ignore[assignment]  # the transformer makes nodes
        except UnexpectedInput as error:
            raise _syntax_refusal(text, error) from None
        except VisitError as error:
            raise error.orig_exc from None
        if root is not None:
            _refuse_excess(root)
        return Filter(root)


def condition(tree: Filter, fields: Mapping[str, Field], search: Sequence[str] = ()) -> Condition | None:
    """The SQL condition of a filter, None where everything passes.

    A value that stands alone is looked for in the text fields named in `search`; without any it is
    refused. A comparison with a field that is not set is false, `!=` true, and NOT the opposite.
    """
    return None if tree.root is None else _condition(tree.root, fields, search)


def _condition(node: Node, fields: Mapping[str, Field], search: Sequence[str]) -> Condition:
    match node:
        case All(nodes):
            return sa.and_(*(_condition(each, fields, search) for each in nodes))
        case Any(nodes):
            return sa.or_(*(_condition(each, fields, search) for each in nodes))
        case Not(Comparison() as inner):
            return _comparison(inner, fields, negated=True)
        case Not(inner):
            return _condition(inner, fields, search).is_not(sa.true())
        case Comparison():
            return _comparison(node, fields, negated=False)
        case Literal():
            return _search(node, fields, search)


def _comparison(node: Comparison, fields: Mapping[str, Field], *, negated: bool) -> Condition:
    target = field_named(fields, node.name)
    if target is None:
        raise FilterInvalid(
            f"There is no field {node.name!r} to filter by, but {', '.join(fields)}.", node.position
        )
    if node.operator == ":" and node.value.text == "*":
        return is_absent(target) if negated else is_present(target)
    operators = _operators(target)
    if node.operator not in operators:
        raise FilterInvalid(
            f"{node.name} cannot be compared by {node.operator}, but by {' '.join(operators)}.", node.position
        )
    if node.operator == "!=":
        return _comparison(replace(node, operator="="), fields, negated=not negated)
    found = _found(node, target)
    return _opposite(found, target) if negated else found


def _operators(target: Field) -> tuple[str, ...]:
    if target.is_list:
        return (":",)
    if target.type in (FieldType.ENUM, FieldType.UUID, FieldType.BOOL):
        return ("=", "!=", ":")
    return ("=", "!=", "<", "<=", ">", ">=", ":")


def _found(node: Comparison, target: Field) -> Condition:
    value, column, operator = node.value, target.column, node.operator
    is_text = target.type is FieldType.STRING and not target.is_list
    if operator == ":" and is_text:
        return column.ilike(f"%{'%'.join(map(_like, value.pieces))}%", escape="\\")
    if operator == "=" and is_text and len(value.pieces) > 1:
        return column.like("%".join(map(_like, value.pieces)), escape="\\")
    if operator == "=" and value.text == "":
        return is_absent(target)
    constant, currency = _constant(node, target)
    if target.is_list:
        return contains(target, constant)
    compared: Condition = _SQL[operator](column, bound(target, constant))
    return compared if currency is None else sa.and_(compared, currency)


def _opposite(found: Condition, target: Field) -> Condition:
    """True also where the field is not set; a column that always is keeps a form that indexes serve."""
    return found.is_not(sa.true()) if target.nullable else sa.not_(found)


def _constant(node: Comparison, target: Field) -> tuple[object, Condition | None]:
    """The value, and for an amount that names its currency the condition that it is that one."""
    text, currency = node.value.text, None
    if target.type is FieldType.MONEY and target.currency is not None:
        text, _, code = text.partition(" ")
        currency = target.currency == sa.literal(code, sa.Text) if code else None
    try:
        return target.read(text), currency
    except ValueError:
        raise FilterInvalid(
            f"{node.name} is compared with {target.expected}, not with {node.value.text!r}.",
            node.value.position,
        ) from None


def _search(node: Literal, fields: Mapping[str, Field], search: Sequence[str]) -> Condition:
    if not search:
        raise FilterInvalid(f'{node.text!r} needs a comparison, such as {node.text} = "…".', node.position)
    pattern = f"%{'%'.join(map(_like, node.pieces))}%"
    return sa.or_(*(fields[name].column.ilike(pattern, escape="\\") for name in search))


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@v_args(inline=True)
class _Tree(Transformer[Token, Node | None]):
    """Builds the tree while the text is parsed."""

    def start(self, node: Node | None) -> Node | None:
        return node

    def expression(self, *nodes: Node) -> Node:
        return nodes[0] if len(nodes) == 1 else All(nodes)

    sequence = expression

    def factor(self, *nodes: Node) -> Node:
        return nodes[0] if len(nodes) == 1 else Any(nodes)

    def negation(self, *children: Node) -> Node:
        return Not(children[-1])

    def function(self, name: Token, *_: Node) -> Node:
        raise FilterInvalid(f"There is no function {name[:-1]}.", name.start_pos)

    def text(self, token: Token) -> Literal:
        _refuse_nul(token)
        return Literal(str(token), tuple(token.split("*")), token.start_pos or 0)

    def string(self, token: Token) -> Literal:
        _refuse_nul(token)
        pieces, characters = [""], iter(token[1:-1])
        for character in characters:
            if character == "\\":
                pieces[-1] += next(characters)
            elif character == "*":
                pieces.append("")
            else:
                pieces[-1] += character
        return Literal("*".join(pieces), tuple(pieces), token.start_pos or 0)

    def member(self, first: Literal, *more: Literal) -> Literal:
        if not more:
            return first
        text = ".".join(part.text for part in (first, *more))
        return Literal(text, tuple(text.split("*")), first.position)

    def instant(self, token: Token) -> Literal:
        return Literal(str(token), (str(token),), token.start_pos or 0)

    def negative(self, minus: Token, member: Literal) -> Literal:
        return Literal(f"-{member.text}", (f"-{member.text}",), minus.start_pos or 0)

    def restriction(self, name: Literal, operator: Token | None, value: Node | None) -> Node:
        if operator is None or value is None:
            if name.text in ("AND", "OR"):
                raise FilterInvalid(f"{name.text} stands between two comparisons.", name.position)
            return name
        return _distributed(name, str(operator), value)


def _distributed(name: Literal, operator: str, value: Node) -> Node:
    """`state = (WON OR LOST)` means `state = WON OR state = LOST`."""
    match value:
        case Literal():
            return Comparison(name.text, operator, value, name.position)
        case All(nodes):
            return All(tuple(_distributed(name, operator, each) for each in nodes))
        case Any(nodes):
            return Any(tuple(_distributed(name, operator, each) for each in nodes))
        case Not(node):
            return Not(_distributed(name, operator, node))
        case Comparison(position=position):
            raise FilterInvalid(f"The values of {name.text} are compared once.", position)


def _refuse_nul(token: Token) -> None:
    if "\0" in token:
        raise FilterInvalid("U+0000 is in no text.", token.start_pos)


def _refuse_excess(root: Node) -> None:
    """A tree that is too deep or too wide would cost the planner more than it is worth."""
    comparisons, pending = 0, [(root, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise FilterInvalid(f"A filter nests at most {MAX_DEPTH} deep.")
        match node:
            case All(nodes) | Any(nodes):
                pending.extend((each, depth + 1) for each in nodes)
            case Not(inner):
                pending.append((inner, depth + 1))
            case _:
                comparisons += 1
    if comparisons > MAX_COMPARISONS:
        raise FilterInvalid(f"A filter has at most {MAX_COMPARISONS} comparisons.")


def _syntax_refusal(text: str, error: UnexpectedInput) -> FilterInvalid:
    at_end = (
        not isinstance(error, UnexpectedCharacters)
        and getattr(error, "token", Token("$END", "")).type == "$END"
    )
    if at_end:
        return FilterInvalid(f"The filter ends where {_wanted(error)} is expected.", len(text))
    position = getattr(error, "pos_in_stream", None) or 0  # typed as None there, and a number
    if text[position] in "\"'":
        return FilterInvalid("The quotation mark is not closed.", position)
    return FilterInvalid(f"{text[position]!r} stands where {_wanted(error)} is expected.", position)


def _wanted(error: UnexpectedInput) -> str:
    wanted = getattr(error, "accepts", None) or getattr(error, "allowed", None) or ()
    return " or ".join(words for name, words in _EXPECTED.items() if name in wanted) or "something else"


_parser = Lark(_GRAMMAR, parser="lalr", transformer=_Tree(), maybe_placeholders=True)
