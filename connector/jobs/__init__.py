"""When a pass runs, and that only one does: the service and its schedule, single runs, health, and what keeps the mirror whole."""
