"""The file itself: where problems are from, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config.load import load
from connector.errors import ConfigError


def test_says_how_many_and_where_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('mode = "fast"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=f"2 problems in {path}"):
        load(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "no such file; --config PATH names another"), (b"\xff\xfe", "no UTF-8 text (byte 0); a TOML file saved as UTF-8")],
)
def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(problem) for problem in caught.value.problems] == [f"{path}: {expected}"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value.problems[0]).startswith(f"{tmp_path}: cannot be read: ")
