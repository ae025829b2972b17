"""What `relay init` asks for, and what it writes."""
