"""The neutral party between marketing and sales, beside the CRMs a company already has.

Start reading at `connector.engine.run_pass`.
"""

__version__ = "0.1.0"
