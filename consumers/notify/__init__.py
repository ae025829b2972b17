"""A message to a chat channel for the events that need a person."""
