"""Every event into a database, once per event id."""
