"""The jobs of [schedule] and the leases that they hold, by name. A module of its own, so that the health check imports no job."""

from __future__ import annotations

#: PASS is also the name of the lease that all jobs but the fast lane hold.
PASS = "pass"  # noqa: S105 - no password
FAST, DELETES, RECONCILE = "fast", "deletes", "reconcile"
JOBS = (PASS, FAST, DELETES, RECONCILE)

#: The lease of unifying, judging and writing back.
JUDGING = "judging"

#: What a service does while another process leads a pass: no job of [schedule], and it holds no lease.
HELP = "help"
