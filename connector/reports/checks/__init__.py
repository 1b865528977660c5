"""`connector check`: the file's examples, and what of the file each CRM does not hold to."""
