"""A stage may go on from another's end."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    op.add_column("stages", sa.Column("parent", sa.String(16)))
