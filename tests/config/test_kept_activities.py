"""[scope] keep_activities: what a condition counts must still be there."""

from __future__ import annotations

import pytest

from connector.config.load import loads
from tests.config.test_problems import BASE, problems

KEPT = '[scope]\nkeep_activities = "90 days"\n'
LONG = "activities counted over 91 days, of which 90 days are kept; at most 90 days, or a longer keep_activities in [scope]"
COUNTED = "activities('*', '91 days') >= 1"
ACTING = f'[[transition]]\nname = "hot"\nto = "mql"\nwhen = "{COUNTED}"\n'


@pytest.mark.parametrize(
    ("added", "path"),
    [
        (KEPT + ACTING, 'transition[0] "hot".when'),
        (KEPT + f'[[qualification.criteria]]\nname = "talked"\nwhen = "NOT {COUNTED}"\n[qualification]\nminimum = 1\n',
         'qualification.criteria[0] "talked".when'),
        (KEPT + f'[[score]]\nname = "talked"\npoints = 1\nwhen = "{COUNTED}"\n', 'score[0] "talked".when'),
        (KEPT + f'[[sla]]\nname = "first"\nkind = "response"\nwithin = "1 hour"\nwhen = "{COUNTED}"\n', 'sla[0] "first".when'),
        (KEPT + f'[rejection]\nwhen = "{COUNTED}"\nreason = "campaign"\n', "rejection.when"),
        (KEPT + f'exclude = "{COUNTED}"\n', "scope.exclude"),
        (KEPT + f'[assign.other]\nteam = "inbound"\nonly_if = "{COUNTED}"\n', "assign.other.only_if"),
        (KEPT + f'[assign.other]\nteam = "inbound"\nroutes = [{{ when = "{COUNTED}", owners = ["anna@acme.example"] }}]\n',
         "assign.other.routes[0].when"),
    ],
)  # fmt: skip
def test_a_longer_window_is_a_problem(added: str, path: str) -> None:
    assert problems(BASE + added) == [f"{path}: {LONG}"]


@pytest.mark.parametrize(
    "added",
    [
        ACTING,
        KEPT + ACTING.replace("91", "90"),
        KEPT + ACTING.replace("activities('*', '91 days')", "touches('5 years')"),
        KEPT.replace("90 days", "1 year") + ACTING,
    ],
)
def test_what_is_kept_may_be_counted(added: str) -> None:
    assert loads(BASE + added, source="config.toml").transitions
