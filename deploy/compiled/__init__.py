"""Compiles part of the relay for a wheel that asks for it; see build_hook.py."""
