"""The parts of every process of ours: tasks, signals, listeners, retries, a command line."""
