"""Trials carry a version; people tag and note; workers say how busy they are; a request says whose it is."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    for table in ("sweeps", "trials"):
        op.add_column(table, sa.Column("version", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("trials_by_version", "trials", ["sweep", "version"])
    op.add_column("controls", sa.Column("who", sa.String(80), nullable=False, server_default=""))
    op.create_table(
        "notes",
        sa.Column("id", id_type, primary_key=True),
        sa.Column("sweep", id_type, sa.ForeignKey("sweeps.id"), nullable=False, index=True),
        sa.Column("trial", id_type, sa.ForeignKey("trials.id")),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("who", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("sweep", id_type, sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("worker", sa.String(200), primary_key=True),
        sa.Column("time", sa.Float, primary_key=True),
        sa.Column("trial", sa.Integer),
        sa.Column("cpu", sa.Float, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("gpu", sa.Float),
        sa.Column("gpu_memory", sa.BigInteger),
    )
