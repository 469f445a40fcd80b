"""The tables. SQLite and any other SQLAlchemy URL; the store is the only truth there is.

States of a sweep: running, paused, interrupted, complete, failed. Of a trial: queued, running, paused,
complete, pruned, failed, lost, stopped. Of a stage: queued, running, complete, failed.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 6  # a change to a table is one more, and a step in sweeper/store/migrations

metadata = MetaData()
# SQLite numbers rows by itself only where the key is plainly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False)
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("spec_text", Text, nullable=False),
    Column("spec", JSON, nullable=False),  # resolved: equal JSON, same sweep
    Column("code_version", String(80), nullable=False),
    Column("folder", Text, nullable=False),  # checkpoints, ledgers, logs
    Column("state", String(20), nullable=False),
    Column("note", Text, nullable=False, default=""),  # why it ended, in a sentence
    Column("created", Float, nullable=False),  # seconds since 1970, as every time here
    Column("ended", Float),
    Column("lease_holder", String(80)),
    Column("lease_until", Float),
    Column("version", BigInteger, nullable=False, server_default="0"),  # one more with each change of a trial
)

configurations = Table(
    "configurations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False),
    Column("hash", String(16), nullable=False),  # of TrainConfig.content()
    Column("values", JSON, nullable=False),  # dotted, complete, the seed left out
    UniqueConstraint("sweep", "hash"),
)

trials = Table(
    "trials",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False),
    Column("configuration", ForeignKey("configurations.id"), nullable=False),
    Column("role", String(20), nullable=False),  # search, baseline, replicate, confirm, race
    Column("number", Integer),  # Optuna's trial number; null outside the study
    Column(
        "trial_number", Integer
    ),  # from 1 in each sweep: what people call it; null in sweeps made before schema 4
    Column("seed", Integer, nullable=False),
    Column(
        "repeat_of", ForeignKey("trials.id")
    ),  # a proposal made before: told that trial's value, never run
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("stage", String(16)),  # key of the pretrain it branches from
    Column("steps", Integer, nullable=False),  # at which it is complete (pretrain included)
    Column("params", JSON, nullable=False),  # what was proposed, dotted
    Column("distributions", JSON, nullable=False),  # Optuna's, one JSON text a parameter
    Column("system_attrs", JSON, nullable=False),  # Optuna's; the pruner's rungs live here
    Column("error", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),  # why it was pruned or stopped
    Column("worker", String(200), nullable=False, default=""),  # host:pid of the latest attempt
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("cpu_seconds", Float, nullable=False, default=0.0),
    Column("gpu_seconds", Float, nullable=False, default=0.0),
    Column("tokens", BigInteger, nullable=False, default=0),
    # The sweep's version at which it, its rows or its evaluations last changed: what a page reads again.
    Column("version", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("sweep", "number"),
    Index("trials_by_state", "sweep", "state"),
    Index("trials_by_number", "sweep", "trial_number", unique=True),
    Index("trials_by_version", "sweep", "version"),
)

# Of other sweeps, as they were when the search began to learn from them: later changes there are none here.
foreign_trials = Table(
    "foreign_trials",
    metadata,
    Column("sweep", ForeignKey("sweeps.id"), primary_key=True),
    Column("place", Integer, primary_key=True),  # from 0
    Column("source", String(200), nullable=False),
    Column("trial", Id, nullable=False),
    Column("params", JSON, nullable=False),
    Column("values", JSON, nullable=False),
)

stages = Table(
    "stages",
    metadata,
    Column("key", String(16), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("steps", Integer, nullable=False),
    Column("values", JSON, nullable=False),  # the dotted values that the key is the hash of
    Column("folder", Text, nullable=False),
    Column("error", Text, nullable=False, default=""),
    Column("started", Float),
    Column("ended", Float),
    Column("cpu_seconds", Float, nullable=False, default=0.0),
    Column("gpu_seconds", Float, nullable=False, default=0.0),
    Column("parent", String(16)),  # the stage from whose end it goes on; null: it begins at its first step
)

# What each driver of a sweep has spent, as it last said: with what its trials and its pretrains cost.
drivers = Table(
    "drivers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False, index=True),
    Column("holder", String(80), nullable=False),
    Column("began", Float, nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),  # that it ran, pauses left out
    Column("gpu_seconds", Float, nullable=False, default=0.0),
    Column("tokens", BigInteger, nullable=False, default=0),
)

# The key in this order is the covering index of every curve; WITHOUT ROWID makes it the table.
metrics = Table(
    "metrics",
    metadata,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)

latest = Table(
    "latest",
    metadata,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("best", Float, nullable=False),  # by the metric's direction; equal to value where it has none
    Column("best_step", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The evaluation of each split that ranks, document by document: what intervals and ties are made of. Of valid
# the one of the best checkpoint that was made to rank (provenance: ranks), else the lowest.
evaluations = Table(
    "evaluations",
    metadata,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("split", String(10), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("nelbo", Float, nullable=False),
    Column("se", Float, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("nats", JSON, nullable=False),
    Column("tokens", JSON, nullable=False),
    Column("exact", JSON),  # of a source whose likelihood is known: its own nats of each document
)

# Checkpoints scored again without training. Round 0: with more masks or text, in the place of the run's own
# evaluation; from 1 on: under the masks of a round of the race.
scores = Table(
    "scores",
    metadata,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("split", String(10), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("nelbo", Float, nullable=False),
    Column("se", Float, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("nats", JSON, nullable=False),
    Column("tokens", JSON, nullable=False),
    Column("cpu_seconds", Float, nullable=False, default=0.0),
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("time", Float, nullable=False),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False, index=True),
    Column("trial", ForeignKey("trials.id")),
    Column("kind", String(40), nullable=False),
    Column("text", Text, nullable=False),
)

# Append-only, for anyone; the driver marks what it has done.
controls = Table(
    "controls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("time", Float, nullable=False),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False),
    Column("trial", ForeignKey("trials.id")),
    Column("verb", String(200), nullable=False),  # stop; pause; resume; extend +20; settle within=0.005
    Column("done", Float),
    Column("who", String(80), nullable=False, server_default=""),  # user@host; '' before schema 5
)

# Append-only, for anyone: what people say of a sweep or a trial. A tag stands until it is untagged.
notes = Table(
    "notes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sweep", ForeignKey("sweeps.id"), nullable=False, index=True),
    Column("trial", ForeignKey("trials.id")),  # null: of the sweep
    Column("time", Float, nullable=False),
    Column("who", String(80), nullable=False),
    Column("kind", String(20), nullable=False),  # tag, untag, note, name
    Column("text", Text, nullable=False),
)

# What workers say of themselves, at most once a minute each; the oldest go (sweeper/store/usage.py).
usage = Table(
    "usage",
    metadata,
    Column("sweep", ForeignKey("sweeps.id"), primary_key=True),
    Column("worker", String(200), primary_key=True),  # host:pid
    Column("time", Float, primary_key=True),
    Column("trial", Integer),  # that it runs; null: a pretrain
    Column("cpu", Float, nullable=False),  # cores in use, the mean since the last one
    Column("memory", BigInteger, nullable=False),  # bytes resident
    Column("gpu", Float),  # share of the card in use; null: no card
    Column("gpu_memory", BigInteger),  # bytes of the card that the worker holds
)

# Append-only, for anyone: what `judge` was asked, and answered. The level of each ask is spent.
asks = Table(
    "asks",
    metadata,
    Column("sweep", ForeignKey("sweeps.id"), primary_key=True),
    Column("session", String(80), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1 in each session
    Column("a", ForeignKey("configurations.id"), nullable=False),
    Column("b", ForeignKey("configurations.id"), nullable=False),
    Column("runs", String(16), nullable=False),  # hash of the evaluations that were held against each other
    Column("margin", Float, nullable=False),  # of perplexity, as a share
    Column("time", Float, nullable=False),
    Column("level", Float, nullable=False),  # error of each end of the interval
    Column("verdict", String(20), nullable=False),
    Column("seeds", JSON, nullable=False),
    Column("difference", Float, nullable=False),  # a - b, nats per token
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
)
