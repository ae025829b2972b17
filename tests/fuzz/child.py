"""One target under atheris, which ends the process: started by tests.fuzz.run.

python -m tests.fuzz.child TARGET LIBFUZZER-ARGUMENT...
"""

import sys

import atheris

with atheris.instrument_imports(include=["relay", "pamqp"]):
    from tests.fuzz import mutation, targets


def _change(data: bytes, most_bytes: int, seed: int) -> bytes:
    return mutation.change(data, most_bytes, seed, atheris.Mutate)


def main() -> None:
    """Fuzz until an argument says stop or something does not hold."""
    name, *arguments = sys.argv[1:]
    (target,) = [known for known in targets.ALL if known.name == name]
    options = {"custom_mutator": _change} if target.is_delivery else {}
    atheris.Setup([name, *arguments], target.check, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
