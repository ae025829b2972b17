"""RabbitMQ and a relay on this machine: `make run`, `make demo`, and the broker of the tests."""
