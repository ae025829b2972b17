"""The settings of the archive."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.archive.service import ArchiveSettings
from consumers.kit.settings import load
from relay.errors import SettingsError

Written = Callable[[str], Path]


def settings_of(text: str, written: Written) -> ArchiveSettings:
    return load("archive", ArchiveSettings, written(f"[consumers.archive]\n{text}"))[1]


def test_nothing_has_to_be_set(written: Written) -> None:
    settings = settings_of("", written)

    assert settings.database == "sqlite:var/archive.db"
    assert settings.bindings == ["#"]
    assert settings.admin.port == 9091


def test_another_admin_host_keeps_the_port(written: Written) -> None:
    settings = settings_of('admin.host = "::1"', written)

    assert (settings.admin.host, settings.admin.port) == ("::1", 9091)


@pytest.mark.parametrize("database", ["sqlite:/var/lib/a.db", "postgresql://a:s3cret@db/archive"])
def test_the_database_may_be_in_the_environment_or_a_file_and_is_never_shown(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setenv("ARCHIVE_DATABASE", database)
    (tmp_path / "secret").write_text(f"{database}\n")

    for value in (database, "env:ARCHIVE_DATABASE", f"file:{tmp_path}/secret"):
        settings = settings_of(f'database = "{value}"', written)

        assert settings.database == database
        assert database not in repr(settings)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('database = "mysql://s3cret"', "database: give sqlite:PATH or postgresql://user:"),
        ('database = "sqlite:"', "database: give sqlite:PATH or postgresql://user:"),
        ('database = "env:NOT_THERE"', "database: the environment variable NOT_THERE is not set"),
        ('database = "postgresql://a:s3cret@[::1"', "database: it is no PostgreSQL URL; percent-"),
        ('queue = "a queue"', "queue: 'a queue' is no name of a service: up to 64 of a-z,"),
        ("bindings = []", "bindings: bindings is a list of at least one pattern"),
        (f'bindings = ["{"x" * 256}"]', "bindings: a pattern has at most 255 bytes"),
        ("batch_limit = 99", "batch_limit: Input should be greater than or equal to 100"),
        ("concurrency = 2", "concurrency: Input should be less than or equal to 1"),
        ("handler_timeout_s = 91", "handler_timeout_s: Input should be less than or equal to 90"),
        ("no_such = 1", "no_such is no setting"),
    ],
)
def test_what_cannot_work_is_one_sentence_without_a_secret(
    written: Written, text: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(text, written)

    (sentence,) = caught.value.problems
    assert sentence.startswith(f"consumers.archive.{problem}")
    assert "s3cret" not in sentence
