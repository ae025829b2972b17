"""RabbitMQ: connections, sessions, publishing with confirms."""
