"""Trials are numbered from 1 in each sweep; checkpoints are scored again; evaluations of a known source."""

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
    with op.batch_alter_table("controls") as controls:
        controls.alter_column("verb", type_=sa.String(200), existing_nullable=False)
