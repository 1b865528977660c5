"""From the CRMs into the mirror: streams and their cursors, backfills, reads by id, removals, and comparing both sides whole."""
