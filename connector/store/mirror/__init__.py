"""What the CRMs hold, kept here: pages and their cursors, records with their versions, activities, deals, owners, and what was removed."""
