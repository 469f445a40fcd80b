"""A store of its own for each test, and nothing cached from another."""

import gc
from pathlib import Path

import pytest
import streamlit as st


@pytest.fixture(autouse=True)
def forgotten():
    """No test sees what another one cached."""
    yield
    st.cache_resource.clear()
    gc.collect()


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"sqlite:///{tmp_path}/sweeps.db"
    monkeypatch.setenv("SWEEPER_DB", address)
    return address
