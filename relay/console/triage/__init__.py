"""What waits for a person: looked at in groups, and acted on."""
