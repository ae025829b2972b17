"""`python -m consumers.archive`: see service.py."""

from consumers.archive.service import NAME, ArchiveSettings, opened
from consumers.kit import serve

serve(NAME, ArchiveSettings, opened)
