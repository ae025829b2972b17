"""Print definitions.json with passwords, ready for `rabbitmqctl import_definitions`.

    python3 deploy/rabbitmq/definitions.py DIRECTORY > definitions-with-passwords.json

In DIRECTORY is a file per user, named after it, with the password. RabbitMQ gets a salted hash
(https://www.rabbitmq.com/docs/passwords#computing-password-hash). Standard library only, since it
runs where RabbitMQ is.
"""

import argparse
import base64
import hashlib
import json
import os
import shlex
import stat
import sys
from pathlib import Path

DEFINITIONS = Path(__file__).with_name("definitions.json")
_SALT_BYTES = 4  # what RabbitMQ's own hashes have
_MIN_PASSWORD_CHARACTERS = 16


def with_passwords(directory: Path) -> dict[str, list[dict[str, object]]]:
    """Return the definitions with a `password_hash` for every user.

    Raises:
        ValueError: a password is missing, too short, or readable for everyone; each is named.
    """
    definitions: dict[str, list[dict[str, object]]] = json.loads(DEFINITIONS.read_text())
    problems = []
    for user in definitions["users"]:
        try:
            user["password_hash"] = hashed(_password(directory / str(user["name"])))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return definitions


def hashed(password: str) -> str:
    """Return the salted hash that RabbitMQ stores for a password."""
    salt = os.urandom(_SALT_BYTES)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _password(file: Path) -> str:
    try:
        password = file.read_text().strip()
    except OSError as error:
        raise ValueError(
            f"{file} can't be read ({error.strerror}): it is to hold the password of the user "
            f"{file.name}."
        ) from error
    if len(password) < _MIN_PASSWORD_CHARACTERS:
        raise ValueError(
            f"{file} has fewer than {_MIN_PASSWORD_CHARACTERS} characters; take a random password."
        )
    if stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO:
        raise ValueError(
            f"{file} can be read by everyone; run `chmod o= {shlex.quote(str(file))}`."
        )
    return password


def main() -> int:
    """Print the definitions, or what is wrong with the passwords."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="with a file per user, named after it")
    try:
        definitions = with_passwords(parser.parse_args().directory)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(definitions, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
