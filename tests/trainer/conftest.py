from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Corpora of tests are prepared in a folder that goes away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
