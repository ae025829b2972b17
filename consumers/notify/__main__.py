"""`python -m consumers.notify`: see service.py."""

from consumers.kit import serve
from consumers.notify.service import NAME, NotifySettings, opened

serve(NAME, NotifySettings, opened)
