"""A receiver of several processes: a supervisor runs the workers and answers for all of them."""
