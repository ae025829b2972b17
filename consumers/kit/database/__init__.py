"""What the databases of services share."""
