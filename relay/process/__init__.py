"""What any process of ours is made of: tasks, signals, retries, systemd, a command line."""
