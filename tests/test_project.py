"""The project as a whole: imports point one way, docs say what there is, the lock and the wheel hold what they should."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connector.config import not_built
from connector.config.load import load

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "connector"
LOCKS = ("requirements.txt", "requirements-dev.txt")

# What a room (a module or folder of the package) may import of the others; a room not named here may not exist. What decides knows no CRM,
# what reads and writes knows no rule, and nobody but a few commands knows the sandbox.
_VALUES = {"errors", "model"}
_RULES = {*_VALUES, "config", "conditions", "business_time"}
_MIRRORED = {*_RULES, "store", "workflows", "identity"}
_JUDGED = {*_MIRRORED, "cases", "contacts", "conclusions", "evaluation", "suspension"}
_LOOKING = {*_JUDGED, "backfill", "drift", "installation", "plan", "reasons", "timeline", "who"}
_MIRRORING = {*_VALUES, "config", "store", "adapters.port", "rooms", "pull", "by_id", "drift", "workflows.fields"}
_PASS = {*_JUDGED, "adapters.port", "drift", "installation", "judge", "plan", "pull", "rooms", "unify", "write_back"}
_JOBS = {*_PASS, "alone", "app", "buckets", "engine", "fast", "mirroring", "reconcile", "removals", "retention", "schedule"}
_COMMANDED = {"app", "checking", "demo", "demo_story", "engine", "examples", "explain", "jobs", "mirroring", "preview", "pull", "removals",
              "rooms", "sandbox", "starter", "status"}  # fmt: skip
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    # the file, and the language of its conditions
    "conditions": {*_VALUES, "config.durations"},
    "config": {*_VALUES, "conditions", "business_time"},
    "business_time": {"config.durations", "config.tables"},
    # CRMs and database
    "adapters": _VALUES,
    "store": {*_VALUES, "conditions"},
    # rules
    "identity": {*_VALUES, "store"},
    "workflows": {*_RULES, "store"},
    "contacts": _MIRRORED,
    "cases": {*_MIRRORED, "contacts"},
    "merging": _MIRRORED,
    "unify": {*_MIRRORED, "contacts", "merging"},
    "suspension": _MIRRORED,
    "evaluation": {*_MIRRORED, "suspension"},
    "conclusions": {*_MIRRORED, "cases", "contacts", "suspension"},
    "judge": _JUDGED,
    # plan and what becomes of it
    "plan": {*_RULES, "store"},
    "drift": {*_MIRRORED, "adapters.port"},
    "backfill": {*_MIRRORED, "adapters.port", "drift", "pull", "rooms", "suspension"},
    "installation": {*_MIRRORED, "adapters.port", "backfill", "contacts", "drift", "pull", "rooms", "suspension"},
    "write_back": {*_VALUES, "store", "adapters.port"},
    "rooms": {"model", "config", "store", "adapters.port"},
    "pull": _MIRRORING,
    "by_id": _MIRRORING,
    "reconcile": _MIRRORING,
    "removals": {*_MIRRORING, "reconcile"},
    "buckets": {"model", "store"},
    "retention": {"config", "store", "workflows"},
    "mirroring": {*_MIRRORING, "backfill", "buckets", "installation", "reconcile", "removals", "retention", "unify"},
    "engine": _PASS,
    "fast": {*_PASS, "engine"},
    "preview": {*_PASS, "engine"},
    # looking at it
    "who": {*_VALUES, "store"},
    "timeline": _MIRRORED,
    "reasons": _JUDGED,
    "examples": {*_JUDGED, "reasons"},
    "explain": {*_LOOKING, "merging"},
    "status": _LOOKING,
    # the outermost
    "app": {*_PASS, "engine", "adapters", "uses"},
    "starter": {"model"},
    "uses": {*_RULES, "schedule", "workflows"},
    "checking_fields": {"suspension", *_RULES, "adapters.port", "uses", "workflows"},
    "checking_conditions": {*_RULES, "checking_fields", "workflows"},
    "checking": {*_LOOKING, "schedule", "adapters.port", "checking_conditions", "checking_fields", "uses"},
    "schedule": set(),
    "alone": {*_VALUES, "app", "store", "write_back"},
    "jobs": _JOBS,
    "sandbox": {"errors"},
    "demo": {*_VALUES, "app", "config", "engine", "jobs", "sandbox"},
    "demo_story": {*_MIRRORED, "commands.people"},
    "commands": {*_LOOKING, *_COMMANDED},
    "cli": {"", "app", "commands", "errors"},
    "__main__": {"cli"},
    "": set(),
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """Every module of the package by its name in it, parsed: "adapters.hubspot.wire"; "" is the package's own."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imported(tree: ast.Module) -> set[str]:
    """The modules of the package that a module names in its imports, wherever in it they stand."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {_module(f"{node.module}.{alias.name}") for alias in node.names if (node.module or "").split(".")[0] == "connector"}
        elif isinstance(node, ast.Import):
            found |= {_module(alias.name) for alias in node.names if alias.name.split(".")[0] == "connector"}
    return found


def _module(dotted: str) -> str:
    """The longest part of a dotted name that is a module."""
    parts = dotted.split(".")[1:]
    while parts and not ((path := PACKAGE.joinpath(*parts)).is_dir() or path.with_suffix(".py").is_file()):
        parts.pop()
    return ".".join(parts)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def test_imports_point_one_way() -> None:
    wrong = []
    for name, tree in modules():
        room = name.split(".")[0]
        assert room in MAY_IMPORT, f"connector.{name} is a room that the table does not know"
        allowed = MAY_IMPORT[room]
        wrong += [f"{name} → {other}" for other in imported(tree) if not any(within(other, one) for one in {room, *allowed})]
    assert wrong == []


def test_the_adapters_do_not_know_each_other_and_the_sandbox_no_adapter() -> None:
    pairs = [("adapters.hubspot", "adapters.salesforce"), ("adapters.salesforce", "adapters.hubspot"), ("sandbox", "adapters")]
    for inside, outside in pairs:
        wrong = [name for name, tree in modules() if within(name, inside) and any(within(other, outside) for other in imported(tree))]
        assert wrong == [], f"{inside} imports {outside}"


def test_only_the_outermost_look_at_the_clock() -> None:
    """Time is an input. Who may look: the composition root, the scheduler, and the sandbox, which plays other machines."""
    looks = {"datetime.now", "datetime.utcnow", "date.today", "datetime.today"}
    wrong = [
        f"{name}, line {node.lineno}"
        for name, tree in modules()
        if not any(within(name, one) for one in ("app", "jobs", "sandbox", "demo", "commands.serving", "commands.demo"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in looks
    ]
    assert wrong == []


def test_every_module_and_every_public_function_and_class_says_what_it_is_for() -> None:
    silent = []
    for name, tree in modules():
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


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def kept_files() -> list[Path]:
    """What git keeps or would keep; in an unpacked archive, everything that was not made here."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    made = {".venv", ".git", "dist", "build", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.relative_to(ROOT).parts)]


def test_no_file_names_a_package_index_or_a_path_of_somebodys_machine() -> None:
    # In pieces, so that this file does not name them itself.
    pieces: tuple[str, ...] = ("py|pi.org", "python|hosted.org", "find|-links", "index|-url", "registry.|npm", "docker|.io")
    pieces += ("/ro|ot/", "/ho|me/", "/Us|ers/", "/op|t/pypi", "/wo|rk/", "/tm|p/")
    words = [each.replace("|", "") for each in pieces]
    keep_out = [f"--no-emit-{each}" for each in words[2:4]]  # switches of the tool that makes the locks
    wrong = []
    for path in kept_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for switch in keep_out:
            text = text.replace(switch, "")
        wrong += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert wrong == []


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_names_exact_versions_with_hashes_and_nothing_else(name: str) -> None:
    for entry in _entries(name):
        requirement, *hashes = re.split(r"\s+--hash=", entry)
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][^ ]*( ; .+)?", requirement), requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)


def test_the_development_lock_holds_the_runtime_lock() -> None:
    runtime, development = (set(_entries(name)) for name in LOCKS)
    assert runtime < development


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Somebody who adds a dependency makes the locks anew (`make lock`)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    for name, wanted in zip(LOCKS, (groups["build"], [each for each in groups["dev"] if isinstance(each, str)]), strict=True):
        locked = {canonicalize_name(entry.split("==")[0]): entry.split("==")[1].split()[0] for entry in _entries(name)}
        for text in [*project["project"]["dependencies"], *wanted]:
            requirement = Requirement(text)
            assert locked[canonicalize_name(requirement.name)] in requirement.specifier, text


def _entries(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


def test_the_wheel_carries_the_migrations_and_the_example_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    migrations = {f"connector/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").rglob("*") if path.suffix in (".py", ".mako")}
    assert {"connector/config.example.toml", *sources, *migrations} <= names
    assert {name.split("/")[0] for name in names} == {"connector", wheel.name.rsplit("-", 3)[0] + ".dist-info"}


# ── Docs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_example_file_loads() -> None:
    config = load(ROOT / "config.example.toml")
    assert config.mode == "shadow"
    assert set(config.crms) == {"hubspot", "salesforce"}


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command by its full name, with its options."""
    from connector.cli.main import app

    whole = typer.main.get_command(app)
    assert isinstance(whole, typer.core.TyperGroup)
    for name, command in whole.commands.items():
        inner = command.commands if isinstance(command, typer.core.TyperGroup) else {"": command}
        for part, each in inner.items():
            shown = [parameter for parameter in each.params if not getattr(parameter, "hidden", False)]
            options = {option for parameter in shown for option in parameter.opts if option.startswith("--")}
            yield f"{name} {part}".strip(), options - {"--help"}


def test_the_docs_name_every_command_and_every_option() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = {match[1]: match[2] for match in re.finditer(r"(?ms)^## `connector ([a-z ]+?)(?: [A-Z\[].*?)?`\n(.*?)(?=^## |\Z)", text)}
    found = dict(commands())
    assert sections.keys() == found.keys()
    everywhere = {"--config", "--json"}
    for name, options in found.items():
        told = set(re.findall(r"--[a-z-]+", sections[name])) | (everywhere & options)
        assert options <= told, f"connector {name}: {sorted(options - told)}"
    assert everywhere <= set(re.findall(r"--[a-z-]+", text))


def test_the_docs_name_every_table_of_the_file_that_is_not_built() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    tables = ("absence", "commitment", "console", "create", "notify", "review", "write_back")
    assert all(not_built.is_unbuilt_key([table]) for table in tables)
    assert [table for table in tables if f"[{table}" not in text] == []


PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_docs_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target


def test_make_offers_what_the_docs_say() -> None:
    offered = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    told = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    assert {"demo", "test"} <= set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", told)) <= offered
