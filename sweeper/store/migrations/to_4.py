"""Trials are numbered from 1 in each sweep; checkpoints are scored again; evaluations of a known source;
what is asked of pairs is kept."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("trials", sa.Column("trial_number", sa.Integer))
    op.create_index("trials_by_number", "trials", ["sweep", "trial_number"], unique=True)
    op.add_column("evaluations", sa.Column("exact", sa.JSON))
    op.create_table(
        "scores",
        sa.Column("trial", id_type, sa.ForeignKey("trials.id"), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("split", sa.String(10), primary_key=True),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("nelbo", sa.Float, nullable=False),
        sa.Column("se", sa.Float, nullable=False),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.Column("provenance", sa.JSON, nullable=False),
        sa.Column("nats", sa.JSON, nullable=False),
        sa.Column("tokens", sa.JSON, nullable=False),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "asks",
        sa.Column("sweep", id_type, sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("session", sa.String(80), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("a", id_type, sa.ForeignKey("configurations.id"), nullable=False),
        sa.Column("b", id_type, sa.ForeignKey("configurations.id"), nullable=False),
        sa.Column("runs", sa.String(16), nullable=False),
        sa.Column("margin", sa.Float, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("seeds", sa.JSON, nullable=False),
        sa.Column("difference", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
    )
    with op.batch_alter_table("controls") as controls:
        controls.alter_column("verb", type_=sa.String(200), existing_nullable=False)
