"""The tables that the client reads, as its team mapped them.

Keys are (tenant_id, id): every foreign key takes the tenant along, so relationships are read-only here, and rows are
written with both columns.
"""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKeyConstraint, Identity, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

TaskStatus = Enum("open", "in_progress", "blocked", "done", "cancelled", name="task_status", schema="app")
JobStatus = Enum("queued", "running", "succeeded", "failed", name="job_status", schema="app")


def to(table: str, column: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", column], [f"app.{table}.tenant_id", f"app.{table}.id"])


class Base(DeclarativeBase):
    type_annotation_map = {int: BigInteger, str: Text, datetime: DateTime(timezone=True), dict: JSONB}


class Row(Base):
    """A row of a tenant."""

    __abstract__ = True

    tenant_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)


class User(Row):
    __tablename__ = "users"
    __table_args__ = {"schema": "app"}

    email: Mapped[str]
    display_name: Mapped[str]
    is_active: Mapped[bool]


class Topic(Row):
    __tablename__ = "topics"
    __table_args__ = (to("topics", "parent_id"), {"schema": "app"})

    parent_id: Mapped[int | None]
    name: Mapped[str]
    slug: Mapped[str]

    atoms: Mapped[list["Atom"]] = relationship(viewonly=True, order_by="Atom.id")
    parent: Mapped["Topic | None"] = relationship(
        viewonly=True, foreign_keys="[Topic.tenant_id, Topic.parent_id]", remote_side="[Topic.tenant_id, Topic.id]"
    )


class Atom(Row):
    __tablename__ = "atoms"
    __table_args__ = (to("topics", "topic_id"), {"schema": "app"})

    topic_id: Mapped[int]
    title: Mapped[str]
    confidence: Mapped[float]
    created_at: Mapped[datetime]


class Task(Row):
    __tablename__ = "tasks"
    __table_args__ = (to("users", "assignee_id"), to("users", "created_by"), {"schema": "app"})

    assignee_id: Mapped[int | None]
    created_by: Mapped[int | None]
    title: Mapped[str]
    status: Mapped[str] = mapped_column(TaskStatus)
    priority: Mapped[int]

    assignee: Mapped[User | None] = relationship(viewonly=True, foreign_keys="[Task.tenant_id, Task.assignee_id]")
    comments: Mapped[list["Comment"]] = relationship(viewonly=True, order_by="Comment.created_at, Comment.id")


class Comment(Row):
    __tablename__ = "comments"
    __table_args__ = (to("tasks", "task_id"), to("users", "author_id"), {"schema": "app"})

    task_id: Mapped[int]
    author_id: Mapped[int | None]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    author: Mapped[User | None] = relationship(viewonly=True, foreign_keys="[Comment.tenant_id, Comment.author_id]")


class Job(Row):
    __tablename__ = "background_jobs"
    __table_args__ = {"schema": "app"}

    queue: Mapped[str]
    status: Mapped[str] = mapped_column(JobStatus)
    payload: Mapped[dict]
    attempts: Mapped[int] = mapped_column(server_default="0")
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())
