"""[assign.NAME]: who gets a lead. Round robin over the team's members that are active in the CRM; routes and sticky companies first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from connector.config.tables import Assign, Config
from connector.model import CrmName


class RoundRobin:
    """Whose turn it is. It moves on with each lead that is given away; what it starts from stays as it is.

    turns: positions by name. ids: (crm, e-mail) → owner id of active people. companies: who got leads of a company before, by
    (rule, company).
    """

    def __init__(
        self,
        config: Config,
        turns: Mapping[str, int],
        ids: Mapping[tuple[CrmName, str], str],
        companies: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._config = config
        self._ids = ids
        self._earlier = companies or {}
        self.turns = dict(turns)
        self.companies: dict[tuple[str, str], str] = {}  # those that came since

    def peek(self) -> RoundRobin:
        """Another one, at the same turn: what is asked of it moves nothing on here."""
        return RoundRobin(self._config, self.turns, self._ids)

    def next_owner(
        self,
        rule: Assign,
        crm: CrmName,
        routes: Sequence[bool],
        companies: Sequence[str],
        known: str | None,
        proposed: str | None = None,
    ) -> str | None:
        """The e-mail of the next owner, None where nobody is there.

        routes: which routes' conditions are met, in order. companies: the contact's, one a CRM. known: who owns others of them.
        proposed: who is to get it by the shadow plan: he keeps it as long as it may be he, and no turn is taken.
        """
        for route, met in zip(rule.routes, routes, strict=True):
            if met and (present := self._present(crm, route.owners)):
                return self._turn(f"{rule.name}/{'+'.join(route.owners)}", present, proposed)
        members = self._present(crm, self._config.team(rule.team).members)
        if rule.sticky == "company":
            owners = [self._owner_of(rule.name, company) for company in companies]
            earlier = next((owner for owner in owners if owner is not None), known)
            chosen = earlier if earlier in members else self._turn(rule.name, members, proposed)
            if chosen is not None:
                self.companies.update({(rule.name, company): chosen for company in companies})
            return chosen
        return self._turn(rule.name, members, proposed)

    def _owner_of(self, rule: str, company: str) -> str | None:
        return self.companies.get((rule, company), self._earlier.get((rule, company)))

    def _present(self, crm: CrmName, emails: Sequence[str]) -> list[str]:
        return [email for email in emails if (crm, email) in self._ids]

    def _turn(self, name: str, present: Sequence[str], proposed: str | None) -> str | None:
        if not present:
            return None
        if proposed in present:
            return proposed
        position = self.turns.get(name, 0)
        self.turns[name] = position + 1
        return present[position % len(present)]


#: Whose turn it is by name, and who got leads of which company before, by (rule, company).
Turns = tuple[Mapping[str, int], Mapping[tuple[str, str], str]]


class LateRoundRobin(RoundRobin):
    """One that looks up whose turn it is when somebody is to be chosen, and not before: to know it may mean to wait for others."""

    def __init__(self, config: Config, ids: Mapping[tuple[CrmName, str], str], look_up: Callable[[], Turns]) -> None:
        super().__init__(config, {}, ids)
        self._look_up: Callable[[], Turns] | None = look_up

    def peek(self) -> RoundRobin:
        """Another one, at the same turn."""
        self._know()
        return RoundRobin(self._config, self.turns, self._ids)

    def next_owner(
        self,
        rule: Assign,
        crm: CrmName,
        routes: Sequence[bool],
        companies: Sequence[str],
        known: str | None,
        proposed: str | None = None,
    ) -> str | None:
        """As the other does."""
        self._know()
        return super().next_owner(rule, crm, routes, companies, known, proposed)

    def _know(self) -> None:
        if self._look_up is not None:
            turns, self._earlier = self._look_up()
            self.turns, self._look_up = dict(turns), None
