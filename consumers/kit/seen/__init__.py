"""Which events a service has handled, in a database, so that duplicates are skipped."""
