"""Secrets by reference: read when needed, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config.secrets import Secret
from connector.errors import ConfigError


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret\n")
    secret = Secret.parse("env:TOKEN")
    assert secret.read() == "s3cret"
    assert repr(secret) == "Secret('env:TOKEN')"


def test_reads_the_first_line_of_a_file_or_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("s3cret\nsecond\n")
    secret = Secret.parse(f"file:{path}")
    assert secret.read() == "s3cret"
    assert secret.read_all() == "s3cret\nsecond"
    assert "s3cret" not in f"{secret!r} {secret}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"\n \n", "the file is empty"),
        (b"\xff\xfe", "the file is no UTF-8 text"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Secret.parse(f"file:{path}").read()
    assert [(problem.path, problem.found) for problem in caught.value.problems] == [(f"file:{path}", found)]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_holds_none_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    with pytest.raises(ConfigError) as caught:
        Secret.parse("env:TOKEN").read()
    assert str(caught.value.problems[0]) == "env:TOKEN: the environment variable is not set; set TOKEN"


@pytest.mark.parametrize("text", ["pat-eu1-0000", "env:", "env:NOT-A-NAME", "file:", "ENV:TOKEN"])
def test_a_secret_written_out_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"env|environment") as caught:
        Secret.parse(text)
    assert text not in str(caught.value) or text in ("env:", "file:")
