"""Answers SOQL from the world's rows: names and types are checked first, then one compiled function a query looks at each row.

Text compares without regard to case, ids with regard to it; an empty text is null; null is unequal to every value
(https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_comparisonoperators.htm).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from connector.sandbox.salesforce import fields as known
from connector.sandbox.salesforce import schema as schema_of
from connector.sandbox.salesforce.errors import Refused, RowRefused
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.index import Indexes
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.soql import Combination, Comparison, Condition, Order, Path, Query, Value, complain

Row = dict[str, Any]
Getter = Callable[[Row], Any]
Test = Callable[[Row], bool]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ADVICE = "Please reference your WSDL or the describe call for the appropriate names."


def render_value(value: object) -> str:
    """Dates and datetimes as REST writes them: `2020-10-22`, `2020-10-22T21:03:23.000+0000`. For orjson's `default`."""
    if isinstance(value, datetime):
        return utc_text(value) + "+0000"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@lru_cache(maxsize=300_000)
def utc_text(moment: datetime) -> str:
    """`2020-10-22T21:03:23.000`, in UTC; the same moment stands in many rows."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="milliseconds")[:-6]


class Column:
    """A field of a query, found in the schema: what it is, and how to take it from a row. name: with the relationships before it."""

    def __init__(self, field: Field, get: Getter) -> None:
        self.field = field
        self.get = get
        self.name = field.name


class Evaluator:
    """One query against the world. Raises `Refused` as the service would; all checks are made before any row is looked at."""

    def __init__(self, schema: Schema, query: Query, *, everything: bool, base: str, indexes: Indexes | None = None) -> None:
        found = schema.object_name(query.object)
        if found is None:
            message = f"sObject type '{query.object}' is not supported. If you are attempting to use a custom object, be sure to append the"
            raise complain(query.text, query.object_at, "INVALID_TYPE", f"{message} '__c' after the entity name. {_ADVICE}")
        self.schema = schema
        self.query = query
        self.object = found
        self.everything = everything
        self.base = base
        self.indexes = indexes or Indexes(schema.rows)
        self.columns: list[Column] = []
        self.tree = self._tree()
        self.test = self._condition(query.where) if query.where is not None else None
        self.order = [(self._sortable(order), order) for order in query.order]

    def rows(self, *, most: int | None = None) -> list[Row]:
        """The rows found, in their order, cut to LIMIT. most: what finds more, LIMIT aside, takes too long (QUERY_TIMEOUT)."""
        candidates, ordered = self.indexes.candidates(self.object, self.query)
        if not self.everything:
            candidates = (row for row in candidates if not row.get("IsDeleted") and not row.get("IsArchived"))
        found: Iterable[Row] = filter(self.test, candidates) if self.test is not None else candidates
        if most is not None:
            found = list(found)
            if len(found) > most:
                raise Refused(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
        start = self.query.offset
        end = None if self.query.limit is None else start + self.query.limit
        if ordered:
            return list(islice(found, start, end))
        found = list(found)
        for column, order in reversed(self.order):
            _sort(found, column, order)
        return found[start:end]

    # ── SELECT ──

    def _tree(self) -> dict[str, Any]:
        """Names in the order of the query; a relationship's own names below it."""
        tree: dict[str, Any] = {}
        for path in self.query.fields:
            column = self.column(path)
            branch, names = tree, self._spelled(path, column)
            column.name = ".".join(names)
            self.columns.append(column)
            for name in names[:-1]:
                branch = branch.setdefault(name, {})
            if names[-1] in branch:
                raise Refused(400, "INVALID_FIELD", f"duplicate field selected: {'.'.join(names)}")
            branch[names[-1]] = None
        return tree

    def _spelled(self, path: Path, column: Column) -> list[str]:
        names, object_name = [], self.object
        for part in path.parts[:-1]:
            reference = self.schema.reference(object_name, part)
            if reference is not None:
                names.append(str(reference.relationship))
                object_name = reference.targets[0]
        return [*names, column.field.name]

    def renderer(self) -> Callable[[Row], Row]:
        """A row → the record as the answer holds it."""
        return self._renderer(self.object, self.tree)

    def _renderer(self, object_name: str, tree: dict[str, Any]) -> Callable[[Row], Row]:
        url = f"{self.base}/sobjects/{object_name}/"
        names = ("attributes", *tree)
        nested = [(name, self._nested(object_name, name, below)) for name, below in tree.items() if below is not None]

        def render(row: Row) -> Row:
            record: Row = dict(zip(names, map(row.get, names), strict=True))
            record["attributes"] = {"type": object_name, "url": url + row["Id"]}
            for name, below in nested:
                record[name] = below(row)
            return record

        return render

    def _nested(self, object_name: str, relationship: str, tree: dict[str, Any]) -> Getter:
        reference = self.schema.reference(object_name, relationship)
        if reference is None:
            raise AssertionError(f"{object_name}.{relationship} was checked before")
        several = len(reference.targets) > 1
        shown = {target: self._renderer(target, tree) for target in reference.targets if not several and target in self.schema.rows}

        def nested(row: Row) -> Row | None:
            target, parent = _parent(self.schema, reference, row)
            if parent is None:
                return None
            if not several:
                return shown[target](parent)
            attributes = {"type": "Name", "url": f"{self.base}/sobjects/{target}/{parent['Id']}"}
            return {"attributes": attributes, **{name: _name_value(target, parent, name) for name in tree}}

        return nested

    # ── Names ──

    def column(self, path: Path) -> Column:
        """The field at the end of the path. Raises `Refused` (INVALID_FIELD) where there is none."""
        if len(path.parts) > 6:
            raise complain(self.query.text, path.at, "INVALID_FIELD", "only 5 levels of relationship may be followed")
        object_name, get_parent = self.object, None
        for part in path.parts[:-1]:
            reference = self.schema.reference(object_name, part)
            if reference is None and part == path.parts[0] and part.lower() == object_name.lower():
                continue  # the object's own name may stand in front: Lead.Name
            if reference is None:
                message = (
                    f"Didn't understand relationship '{part}' in field path. If you are attempting to use a custom relationship, be sure"
                )
                message += f" to append the '__r' after the custom relationship name. {_ADVICE}"
                raise complain(self.query.text, path.at, "INVALID_FIELD", message)
            if len(reference.targets) > 1:
                return self._name_column(path, reference, get_parent)
            object_name, get_parent = reference.targets[0], _step(self.schema, reference, get_parent)
            if object_name not in self.schema.rows:
                raise self._no_column(path, object_name)
        field = self.schema.field(object_name, path.parts[-1])
        if field is None:
            raise self._no_column(path, object_name)
        return Column(field, _take(field.name, get_parent))

    def _name_column(self, path: Path, reference: Field, get_parent: Getter | None) -> Column:
        """A field of whatever the reference points at: only what the service's Name object has."""
        wanted = path.parts[-1].lower()
        name = next((name for name in known.NAME_FIELDS if name.lower() == wanted), None)
        if name is None or path.parts[-2].lower() != str(reference.relationship).lower():
            raise self._no_column(path, "Name")
        kind = "boolean" if name == "IsActive" else "id" if name == "Id" else "string"

        def get(row: Row) -> Any:
            start = row if get_parent is None else get_parent(row)
            target, parent = _parent(self.schema, reference, start) if start is not None else ("", None)
            return None if parent is None else _name_value(target, parent, name)

        return Column(Field(name=name, type=kind), get)

    def _no_column(self, path: Path, entity: str) -> Refused:
        message = (
            f"No such column '{path.parts[-1]}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append the"
        )
        return complain(self.query.text, path.at, "INVALID_FIELD", f"{message} '__c' after the custom field name. {_ADVICE}")

    def _sortable(self, order: Order) -> Column:
        column = self.column(order.path)
        if not column.field.filterable:
            message = f"field '{column.field.name}' can not be sorted in a query call"
            raise complain(self.query.text, order.path.at, "INVALID_FIELD", message)
        return column

    # ── WHERE ──

    def _condition(self, condition: Condition) -> Test:
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        tests = [self._condition(part) for part in condition.parts]
        return _combine(condition, tests)

    def _comparison(self, comparison: Comparison) -> Test:
        column = self.column(comparison.path)
        field, how = column.field, comparison.operator
        if not field.filterable:
            message = f"field '{field.name}' can not be filtered in a query call"
            raise complain(self.query.text, comparison.path.at, "INVALID_FIELD", message)
        if comparison.subquery is not None:
            return _membership(_reader(column), self._subquery(comparison.subquery), wanted=how == "in")
        if how == "like":
            return self._like(column, comparison)
        values = [self._value(field, literal) for literal in comparison.values]
        if how in ("in", "not in"):
            return _membership(_reader(column), set(values), wanted=how == "in")
        if how in _COMPARE:
            return self._ordering(column, comparison, values[0])
        return _membership(_reader(column), set(values), wanted=how == "=")

    def _ordering(self, column: Column, comparison: Comparison, value: Any) -> Test:
        if value is None or column.field.type == "boolean":
            message = f"invalid operator on {column.field.type} field"
            raise complain(self.query.text, comparison.path.at, "INVALID_QUERY_FILTER_OPERATOR", message)
        compare, get = _COMPARE[comparison.operator], _reader(column)

        def test(row: Row) -> bool:
            held = get(row)
            return held is not None and compare(held, value)

        return test

    def _like(self, column: Column, comparison: Comparison) -> Test:
        literal = comparison.values[0]
        if column.field.type not in schema_of.TEXTS or literal.kind != "string":
            message = f"invalid operator on {column.field.type} field"
            raise complain(self.query.text, comparison.path.at, "INVALID_QUERY_FILTER_OPERATOR", message)
        matches, get = re.compile(literal.pattern, re.IGNORECASE | re.DOTALL).fullmatch, column.get
        return lambda row: (held := get(row)) is not None and matches(held) is not None

    def _subquery(self, query: Query) -> set[Any]:
        inner = Evaluator(self.schema, query, everything=self.everything, base=self.base, indexes=self.indexes)
        if len(query.fields) != 1:
            raise complain(query.text, query.object_at, "MALFORMED_QUERY", "a semi join sub-select selects exactly one field")
        read = _reader(inner.column(query.fields[0]))
        return {value for row in inner.rows() if (value := read(row)) is not None}

    def _value(self, field: Field, literal: Value) -> Any:
        """The literal, as values of this field are compared. Raises `Refused` where the types do not go together."""
        wanted = _filter_type(field)
        if literal.kind == "null" or (literal.kind, wanted) == ("number", "number"):
            return literal.value
        if literal.kind != wanted:
            quotes = "should" if wanted == "string" else "should not"
            kind = {"number": "double", "datetime": "dateTime"}.get(wanted, wanted)
            message = f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes} be enclosed in quotes"
            raise complain(self.query.text, literal.at, "INVALID_FIELD", message)
        if field.type in schema_of.IDS and literal.value:
            try:
                return schema_of.long_id(literal.value)
            except RowRefused as problem:
                message = f"invalid ID field: {literal.value}"
                raise complain(self.query.text, literal.at, "INVALID_QUERY_FILTER_OPERATOR", message) from problem
        return (literal.value.casefold() or None) if wanted == "string" else literal.value


def _filter_type(field: Field) -> str:
    if field.type in ("date", "datetime", "boolean"):
        return field.type
    return "number" if field.type in schema_of.NUMBERS else "string"


def _combine(condition: Combination, tests: list[Test]) -> Test:
    if condition.how == "not":
        (inner,) = tests
        return lambda row: not inner(row)
    if len(tests) == 2:
        first, second = tests
        if condition.how == "and":
            return lambda row: first(row) and second(row)
        return lambda row: first(row) or second(row)
    together = all if condition.how == "and" else any
    return lambda row: together(test(row) for test in tests)


def _membership(get: Getter, values: set[Any], *, wanted: bool) -> Test:
    if wanted:
        return lambda row: get(row) in values
    return lambda row: get(row) not in values


def _reader(column: Column) -> Getter:
    """A field's value as it is compared: text folded, empty text and missing booleans as the service takes them."""
    get = column.get
    if column.field.type == "boolean":
        return lambda row: bool(get(row))
    if column.field.type in schema_of.TEXTS:
        return lambda row: held.casefold() if (held := get(row)) else None
    return get


def _sort(rows: list[Row], column: Column, order: Order) -> None:
    """Stable, nulls first unless said otherwise."""
    read = _reader(column)
    keyed = [(read(row), row) for row in rows]
    empty = [row for value, row in keyed if value is None]
    filled = [pair for pair in keyed if pair[0] is not None]
    filled.sort(key=operator.itemgetter(0), reverse=order.descending)
    full = [row for _, row in filled]
    rows[:] = full + empty if order.nulls_last else empty + full


def _take(name: str, get_parent: Getter | None) -> Getter:
    if get_parent is None:
        return lambda row: row.get(name)
    return lambda row: None if (parent := get_parent(row)) is None else parent.get(name)


def _step(schema: Schema, reference: Field, get_parent: Getter | None) -> Getter:
    """From a row to the record that its reference points at."""

    def step(row: Row) -> Row | None:
        start = row if get_parent is None else get_parent(row)
        return None if start is None else _parent(schema, reference, start)[1]

    return step


def _parent(schema: Schema, reference: Field, row: Row) -> tuple[str, Row | None]:
    wanted = row.get(reference.name)
    if wanted is not None:
        for target in reference.targets:
            found = schema.rows.get(target, {}).get(wanted)
            if found is not None:
                return target, found
    return "", None


def _name_value(target: str, parent: Row, name: str) -> Any:
    if name == "Type":  # of a group the kind of group, else the kind of record
        return parent.get("Type") if target == "Group" else target
    return parent.get(name)
