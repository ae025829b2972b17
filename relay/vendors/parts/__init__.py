"""Parts of vendors whose code is too long for one module. Pure.

Each is named after its vendor. Only that vendor's module imports it.
"""
