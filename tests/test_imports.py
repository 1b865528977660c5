"""The walls of the house: who may import whom, who may look at a clock, and names that mean one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from tests import ROOT

PACKAGE = ROOT / "connector"

# Who may import whom, from the bottom up: a package or module of the root, and what it may import of the others. What decides knows no CRM,
# what reads and writes knows no rule, and nobody but a few commands knows the sandbox. A permission that nobody uses is taken out.
MAY_IMPORT: Mapping[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "conditions": {"model"},
    "config": {"conditions", "model", "errors"},
    "store": {"model", "errors"},
    "adapters": {"model", "errors"},
    "workflows": {"config", "conditions", "store", "model"},
    "pipeline": {"workflows", "config", "conditions", "store", "adapters.port", "model", "errors"},
    "reports": {"pipeline", "workflows", "config", "conditions", "store", "adapters.port", "model", "errors"},
    "app": {"pipeline.context", "workflows", "config", "store", "adapters", "model", "errors"},
    "engine": {"pipeline", "workflows", "config", "store", "model", "errors"},
    "jobs": {"app", "engine", "reports", "pipeline", "workflows", "config", "conditions", "store", "adapters.port", "model", "errors"},
    "sandbox": {"errors"},
    "cli": {"jobs", "app", "engine", "reports", "pipeline", "workflows", "config", "store", "adapters", "sandbox", "model", "errors"},
    "__main__": {"cli"},
}
# Within the pipeline: the steps do not know each other, but that evaluation begins where a contact is put together; plan and write-back
# meet in the ledger. Installation stands on top.
STEPS: Mapping[str, set[str]] = {
    "context": set(),
    "recorded_run": {"context"},
    "older_file": set(),
    "pull": {"context"},
    "slices": set(),
    "unify": {"slices"},
    "evaluate": {"slices", "unify"},
    "plan": set(),
    "write_back": set(),
    "all_contacts": set(),
    "installation": {"all_contacts", "context", "older_file", "pull", "unify"},
    "preview_state": {"unify"},
}
# Public classes whose name stands twice in the product, each with its reason. The sandbox plays the other side and has its own words.
TWICE: Mapping[str, str] = dict.fromkeys(
    ("BatchSender", "PageBuilder", "Pull", "Tasks"), "the same part of both adapters: who has read one reads the other"
)


@cache
def modules() -> Mapping[str, ast.Module]:
    """Every module of the package by its name in it, parsed: "adapters.hubspot.wire"; "" is the package's own."""
    parsed = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parsed[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return parsed


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """The modules of the package that each module names in its imports, wherever in it they stand."""
    return {name: frozenset(_imported(tree)) for name, tree in modules().items()}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if (node.module or "").split(".")[0] == "connector":
                yield from (_module(f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (_module(alias.name) for alias in node.names if alias.name.split(".")[0] == "connector")


def _module(dotted: str) -> str:
    """The longest part of a dotted name that is a module."""
    parts = dotted.split(".")[1:]
    while parts and not ((path := PACKAGE.joinpath(*parts)).is_dir() or path.with_suffix(".py").is_file()):
        parts.pop()
    return ".".join(parts)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def between(rooms: Mapping[str, set[str]], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(room, module, what it imports) of every import that leaves a room for another one of these."""
    for name, imported in imports().items():
        room = next((room for room in rooms if within(name, prefix + room)), None)
        if room is not None:
            there = (other for other in imported if any(within(other, prefix + other_room) for other_room in rooms))
            yield from ((room, name, other) for other in there if not within(other, prefix + room))


TABLES = [pytest.param(MAY_IMPORT, "", id="packages"), pytest.param(STEPS, "pipeline.", id="steps")]


@pytest.mark.parametrize(("table", "prefix"), TABLES)
def test_imports_point_one_way(table: Mapping[str, set[str]], prefix: str) -> None:
    crossed = between(table, prefix)
    wrong = [f"{name} → {other}" for room, name, other in crossed if not any(within(other, prefix + to) for to in table[room])]
    assert wrong == []


@pytest.mark.parametrize(("table", "prefix"), TABLES)
def test_no_permission_is_unused(table: Mapping[str, set[str]], prefix: str) -> None:
    """A wall with open doors is none."""
    used = {(room, to) for room, _, other in between(table, prefix) for to in table[room] if within(other, prefix + to)}
    assert {(room, to) for room, allowed in table.items() for to in allowed} - used == set()


@pytest.mark.parametrize(("table", "prefix"), TABLES)
def test_every_module_has_its_room_in_the_tables(table: Mapping[str, set[str]], prefix: str) -> None:
    names = {name for name in modules() if name.startswith(prefix) and name}
    assert [name for name in names if not any(within(name, prefix + room) for room in table)] == []
    assert [room for room in table if not any(within(name, prefix + room) for name in names)] == []


def circles(edges: Mapping[str, set[str]]) -> list[str]:
    """Those from which a way leads back to themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = list(edges.get(start, ()))
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += edges.get(name, ())
        return seen

    return [name for name in edges if name in reached(name)]


def test_there_is_no_circle_between_folders_nor_between_modules() -> None:
    """Folders at every depth: what stands beside each other in a folder has an order."""
    folders: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    for name, imported in imports().items():
        for other in imported:
            mine, theirs = name.split("."), other.split(".")
            depth = next((place for place, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
            if depth is not None:
                folders[".".join(mine[:depth])].setdefault(mine[depth], set()).add(theirs[depth])
    assert {folder: found for folder, edges in folders.items() if (found := circles(edges))} == {}
    assert circles({name: set(imported) for name, imported in imports().items()}) == []


def test_the_adapters_do_not_know_each_other_and_nothing_of_the_product_knows_the_testing_one() -> None:
    crms = ("adapters.hubspot", "adapters.salesforce", "adapters.memory")
    wrong = [
        f"{name} → {other}"
        for name, imported in imports().items()
        for other in imported
        for crm in crms
        if within(other, crm) and not within(name, crm) and (within(name, "adapters") or crm == "adapters.memory")
    ]
    assert wrong == []


def test_only_the_outermost_look_at_the_clock() -> None:
    """Time is an input. Who may look: the composition root, the scheduler, and the sandbox, which plays other machines."""
    looks = {"datetime.now", "datetime.utcnow", "date.today", "datetime.today"}
    may_look = ("app", "jobs.service", "sandbox", "cli.sandbox", "cli.demo", "cli.demo_run")
    wrong = [
        f"{name}, line {node.lineno}"
        for name, tree in modules().items()
        if not any(within(name, room) for room in may_look)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in looks
    ]
    assert wrong == []


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_module_and_every_public_function_and_class_says_what_it_is_for() -> None:
    silent = []
    for name, tree in modules().items():
        if ast.get_docstring(tree) is None:
            silent.append(name)
        silent += [f"{name}.{path}" for path in _undocumented(tree.body)]
    assert silent == []


def _undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if prefix and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue  # methods: their class says it, or their name does
        if ast.get_docstring(node) is None:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{prefix}{node.name}.")


def public_classes() -> dict[str, list[str]]:
    """Where each public class of the product stands, the sandbox apart."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, tree in modules().items():
        if not within(name, "sandbox"):
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(name)
    return found


def test_a_class_name_means_one_thing() -> None:
    twice = {name: places for name, places in public_classes().items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in TWICE} == {}
    assert set(TWICE) <= set(twice), "a reason is no longer needed"


#: Beyond this a class has more than one subject. The sandbox and the memory CRM play a whole service each.
LONGEST_CLASS = 150


def test_no_class_is_too_long() -> None:
    apart = ("sandbox", "adapters.memory")
    long = {
        f"{name}.{node.name}": lines
        for name, tree in modules().items()
        if not any(within(name, room) for room in apart)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_CLASS
    }
    assert long == {}
