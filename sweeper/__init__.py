from sweeper.results.notebook import open_store

__all__ = ["open_store"]
