"""The parts of `relay replay`: the history, what of it is wanted, and how far a replay has come."""
