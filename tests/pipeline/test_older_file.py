"""An older file is applied by nobody until somebody says that it is meant; what concludes nothing works with it all the same."""

from __future__ import annotations

from functools import partial

import pytest

from connector.engine import preview, run_pass
from connector.errors import OlderFile
from connector.jobs.fast_lane import run_fast
from connector.jobs.mirror_jobs import pull_only, reconcile
from connector.model import Actor
from connector.pipeline.older_file import file_of, older_file
from connector.store import rule_texts
from tests.support.company import HEAD, QUALIFY, Company, config_of, running_company

FAST = '[schedule]\nfast = { every = "30 seconds", when = "interest >= 0" }\n'
OLD = QUALIFY + FAST
NEW = QUALIFY.replace("10", "99") + FAST


def replaced(company: Company) -> None:
    """The file becomes another one, and then an old copy of the program is started."""
    company.config = config_of(NEW)
    company.run()
    company.later(minutes=5)
    company.config = config_of(OLD)


def test_what_a_pass_keeps_of_the_file(either_url: str) -> None:
    with running_company(either_url, OLD) as company:
        company.config = config_of(OLD, head=HEAD + "# a comment\n")
        company.run()
        company.config = config_of(NEW)
        company.run()
        uses = company.rows("SELECT u.version, u.until, t.text FROM rule_use u JOIN rule_text t ON t.digest = u.digest ORDER BY u.number")
        first, comment, new = uses
        assert first.version == comment.version != new.version
        assert [use.until is None for use in uses] == [False, False, True]
        assert "# a comment" in comment.text
        assert '"env:COMPANY_TOKEN"' in new.text  # a secret stands in it by reference
        assert {row.config_version for row in company.rows("SELECT config_version FROM run")} == {first.version, new.version}


def test_a_pass_refuses_it_and_nothing_is_done(either_url: str) -> None:
    with running_company(either_url, OLD) as company:
        replaced(company)
        before = company.rows("SELECT id FROM run")
        with pytest.raises(OlderFile) as refused:
            run_pass(company.context())
        assert "in force from 2026-11-18 10:00 UTC to 2026-11-18 10:05 UTC" in refused.value.message
        assert config_of(NEW).version in refused.value.message
        assert "check --apply" in refused.value.advice
        assert company.rows("SELECT id FROM run") == before


def test_the_mirror_goes_on_and_nobody_is_judged(url: str) -> None:
    with running_company(url, OLD) as company:
        replaced(company)
        company.person(interest="50", stage="lead")
        assert pull_only(company.context()).errors == []
        assert reconcile(company.context()).errors == []
        assert len(company.rows("SELECT id FROM record WHERE id = '1'")) == 1
        assert company.rows("SELECT contact_id FROM record WHERE id = '1' AND contact_id IS NOT NULL") == []
        run_fast(company.context())
        (kept,) = company.rows("SELECT value FROM meta WHERE name = 'config'")
        assert kept.value == config_of(NEW).version


def test_a_preview_shows_what_it_would_do(url: str) -> None:
    with running_company(url, OLD) as company:
        company.person(interest="50", stage="lead")
        company.config = config_of(NEW)
        company.run()
        assert preview(company.context()).actions == ()
        company.config = config_of(OLD)
        assert {action.rule for action in preview(company.context()).actions} == {"qualify"}
        assert older_file(company.store, company.config) is not None


def test_the_fast_lane_waits_for_a_pass_of_the_file_that_is_meant(url: str) -> None:
    with running_company(url, OLD) as company:
        company.config = config_of(NEW)
        company.run()
        company.person(interest="100", stage="lead")
        company.run()
        company.store.write(partial(rule_texts.mean, file=file_of(config_of(OLD)), by=Actor("ben"), now=company.now))
        company.all_due()
        assert run_fast(company.context()).evaluated == 0


def test_it_goes_on_where_it_is_meant_and_the_other_is_refused_then(url: str) -> None:
    with running_company(url, OLD) as company:
        replaced(company)
        company.mean(company.config)
        company.person(interest="50", stage="lead")
        company.run()
        assert company.shows() == "mql"
        company.config = config_of(NEW)
        with pytest.raises(OlderFile, match="applied by somebody"):
            run_pass(company.context())
