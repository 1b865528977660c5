"""The CRMs: one port, one adapter each, and their vendors' facts in modules without I/O."""
