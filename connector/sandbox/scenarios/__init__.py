"""What can go wrong with a CRM, as scripts: for tests and for `connector sandbox --fault`."""
