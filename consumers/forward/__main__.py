"""`python -m consumers.forward`: see service.py."""

from consumers.forward.service import NAME, ForwardSettings, opened
from consumers.kit import serve

serve(NAME, ForwardSettings, opened)
