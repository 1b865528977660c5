"""The first read of a stream: its list from the lowest id up and, beside it, a search from the highest id down, until they meet.

One list goes 100 records a call, each call after the last one's answer; HubSpot would allow three times as much. So people and companies
are read from both ends; association reads run in a third thread, and neither chain waits for them. Other streams go by the list alone.

`list_chain` and `search_chain` read, `meeting` is where they stand, `readers` are their threads, `first_read` puts all together.

Cursor: {"phase": "list", "since": when it began, "after": where the list goes on} and, with two chains, "high": the highest id that the
list has read, and "top": where the search stands ({} before its first page). The last page's is {"phase": "changes", "since"}.

Why no record is missing when they have met at an id H. Let C be `since` less the overlap, which is longer than the search index lags.
* What was changed or created since C comes with the changes, whose first window begins at C. That holds for whatever the index does not
  have yet, or has as it was. All others are *quiet*: unchanged since C, in the index all the time, under one id.
* A quiet record with an id up to H: the list read it, which goes by ids, upwards without a gap (checked page by page).
* A quiet record with an id above H: the search read it. It goes down by id, each page strictly descending and below the last one; that
  HubSpot compares ids as numbers is proved before (a search beyond every id, and above the first one, finds nothing old); every answer's
  total is what the last one left, or the stretch between is counted. At the meeting the quiet records above H are counted by a search of
  their own, and must not be more than were read. Their number can only fall, by deletions and edits, so what is missing cannot hide behind
  new records.
* Where any of this does not hold, the list goes on to its end, as if there were no search.
"""

from connector.adapters.hubspot.first_read.first_read import TWO_CHAINS, FirstRead

__all__ = ["TWO_CHAINS", "FirstRead"]
