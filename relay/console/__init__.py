"""A web page for the people who run the relay; see README.md. A process of its own."""
