"""Runs one revision of Alembic: its body comes on standard input.

revision.py FOLDER upgrade|downgrade|offline
"""

import pathlib
import sys

from alembic import command
from alembic.config import Config

ENV = """
import sqlalchemy as sa
from alembic import context

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
else:
    with sa.create_engine("postgresql+psycopg://").connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""

folder = pathlib.Path(sys.argv[1])
(folder / "versions").mkdir(parents=True, exist_ok=True)
(folder / "env.py").write_text(ENV)
body = sys.stdin.read()
if body:
    (folder / "versions" / "safe_way.py").write_text(f'revision = "safe_way"\ndown_revision = None\n\n{body}')
config = Config()
config.set_main_option("script_location", str(folder))
match sys.argv[2]:
    case "upgrade":
        command.upgrade(config, "head")
    case "downgrade":
        command.downgrade(config, "base")
    case "offline":
        command.upgrade(config, "head", sql=True)
