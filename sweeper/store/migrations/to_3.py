"""What each driver of a sweep has spent."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "drivers",
        sa.Column("id", id_type, primary_key=True),
        sa.Column("sweep", id_type, sa.ForeignKey("sweeps.id"), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("gpu_seconds", sa.Float, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_drivers_sweep", "drivers", ["sweep"])
