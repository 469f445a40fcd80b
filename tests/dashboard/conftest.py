"""A store of its own for each test, nothing cached from another, and no rest between two readings."""

import gc
from pathlib import Path

import pytest
import streamlit as st


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch):
    """No test sees what another one cached, nor depends on how long a reading took."""
    monkeypatch.setattr("dashboard.snapshot.REST", 0)
    yield
    st.cache_resource.clear()
    gc.unfreeze()
    gc.collect()


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"sqlite:///{tmp_path}/sweeps.db"
    monkeypatch.setenv("SWEEPER_DB", address)
    return address
