"""The project as a whole: docs say what there is, the lock and the wheel hold what they should."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connector.config import not_built
from connector.config.load import load
from tests import ROOT

PACKAGE = ROOT / "connector"
LOCKS = ("requirements.txt", "requirements-dev.txt")

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
    sources = {str(path.relative_to(ROOT)) for ending in ("py", "toml") for path in PACKAGE.rglob(f"*.{ending}")}
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
    everywhere = {"--config", "--json", "--as"}
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_the_docs_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:connector|tests|migrations|bench|docs)/\w[\w/.-]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    if page.name == "CONTRIBUTING.md":
        assert len(named) > 20


def test_make_offers_what_the_docs_say() -> None:
    offered = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    told = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    assert {"demo", "test"} <= set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", told)) <= offered
