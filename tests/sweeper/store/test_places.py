"""What is stored of a place, and where it is found when the store was moved."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from sweeper.store.places import as_found, as_stored


@pytest.mark.parametrize(
    ("place", "stored"),
    [
        ("A/sweeps.files", "sweeps.files"),
        ("A", "."),
        ("A/x/../y", "y"),
        ("AB/files", "{}/AB/files"),
        ("s3://bucket/files", "s3://bucket/files"),
    ],
)
def test_what_is_stored_of_a_place(place: str, stored: str, tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path}/A/sweeps.db")
    given = place if "://" in place else f"{tmp_path}/{place}"
    assert as_stored(given, url) == stored.format(tmp_path)
    moved = make_url(f"sqlite:///{tmp_path}/B/sweeps.db")
    assert as_found(as_stored(given, url), moved) == (
        f"{tmp_path}/B/{stored}".removesuffix("/.") if not stored.startswith(("{}", "s3:")) else given
    )


def test_an_absolute_one_of_an_earlier_version_is_looked_for_beside_the_store(tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path}/B/sweeps.db")
    stored = f"{tmp_path}/A/sweeps.files/stages/5a"
    assert as_found(stored, url) == stored  # it is nowhere
    (tmp_path / "B" / "sweeps.files" / "stages" / "5a").mkdir(parents=True)
    assert as_found(stored, url) == f"{tmp_path}/B/sweeps.files/stages/5a"
    (tmp_path / "A" / "sweeps.files" / "stages" / "5a").mkdir(parents=True)
    assert as_found(stored, url) == stored  # as long as it is there


def test_a_server_has_no_folder() -> None:
    url = make_url("postgresql+psycopg://user@host/database")
    assert as_stored("files/x", url) == as_found("files/x", url) == "files/x"
