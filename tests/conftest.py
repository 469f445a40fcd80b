"""A test says in which precision it trains, or it is float32: on every machine the same."""

import os

os.environ.setdefault("TRAINER_PRECISION", "float32")
