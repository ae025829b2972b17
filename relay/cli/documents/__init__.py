"""The commands that print a document for other programs, each beside what makes it."""
