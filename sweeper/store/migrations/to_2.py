"""The trials of other sweeps that a search learns from. Some stores of schema 1 have the table already."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("foreign_trials"):
        return
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "foreign_trials",
        sa.Column("sweep", id_type, sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("trial", id_type, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
    )
