"""The program's own rules, by the ids that stand in keys, bundles and the ledger. They begin with a colon, as no name in a file may."""

from __future__ import annotations

#: What an id of the program's own begins with.
OWN = ":"
#: A stage is written to the CRM that does not show it yet.
STAGES = ":stages"
#: [rejection]: the step back, and the task that asks for a reason.
REJECTION = ":rejection"
