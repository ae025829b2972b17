"""Python's garbage collector, which a program does better without while it starts.

What an import makes lives as long as the process. To look for garbage in it, again and again, takes
a fifth of the CPU of a start.
"""

import gc


def pause() -> None:
    """Collect nothing until `resume`."""
    gc.disable()


def resume() -> None:
    """Collect again, except what is there by now; do nothing if there was no pause."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
