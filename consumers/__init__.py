"""Services that subscribe to the events of the relay."""
