"""How long an attempt may go without any touch before it ends as ignored ([rejection] ignored_after)."""

from __future__ import annotations

from dataclasses import replace

from connector.config.business_time import Calendar
from connector.config.tables import Config
from connector.workflows.attempts import AttemptState


class Patience:
    """Computes the moment once, when the attempt begins, by the calendar of its owner's team."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wait = None if config.rejection is None else config.rejection.ignored_after
        self._calendars: dict[str | None, Calendar] = {}

    def with_ignored_at(self, attempt: AttemptState, owner: str | None) -> AttemptState:
        """The attempt with the moment at which it ends as ignored, where the file says so and it is open."""
        if self._wait is None or not attempt.open or attempt.found:
            return attempt
        return replace(attempt, ignored_at=self.calendar(owner).add(attempt.began_at, self._wait))

    def calendar(self, owner: str | None) -> Calendar:
        """The calendar of the team that an owner (e-mail) works in; the business's own where he is in none."""
        if owner not in self._calendars:
            team = None if owner is None else self._config.team_of(owner)
            self._calendars[owner] = Calendar.of(self._config.calendar_for(team), self._config.timezone)
        return self._calendars[owner]
