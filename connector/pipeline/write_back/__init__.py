"""Carrying out what the ledger says: the one place from which anything is written to a CRM.

    write_back()        the loop: take what is free to go, batch by batch, until nothing is left            executor
      queue             which rows are free (those before them in their bundles are done), in batches       queue
      one batch         claim → read → write → read again → settle                                          updates, create_tasks
      its context       store, CRMs, lease; claiming, giving back, sending, settling                        batch
      outcomes          what a row becomes by what was read and answered; no I/O                            outcomes

A batch is claimed in one transaction before its request leaves and settled in one after it was read back. A crash in between leaves rows
in `sending`; the next holder of the lease finds out what became of them before it sends anything again.
"""

from connector.pipeline.write_back.executor import WriteBackTerms, WrittenBack, write_back

__all__ = ["WriteBackTerms", "WrittenBack", "write_back"]
