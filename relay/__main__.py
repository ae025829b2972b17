"""`python -m relay` is `relay`."""

from relay.process import collector

collector.pause()  # until the command is imported
from relay.cli import main  # noqa: E402  see the pause

if __name__ == "__main__":
    main()
