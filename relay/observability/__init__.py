"""What people see of a running process: logs, metrics, spans, probes."""
