"""What the console watches: receivers, services and queues, asked again and again."""
