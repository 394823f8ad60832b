"""Pages of the web application: what one request reads. Each has a lazy and an eager form with the same answer."""

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, raiseload, selectinload

from models import Comment, Task, Topic

TENANT = 1


def task_page(number: int, size: int):
    """The `number`-th page of tasks, by key."""
    return select(Task).where(Task.tenant_id == TENANT, Task.id > number * 500).order_by(Task.id).limit(size)


def topic_page(number: int, size: int):
    return select(Topic).where(Topic.tenant_id == TENANT, Topic.id > number * 20).order_by(Topic.id).limit(size)


def assignees(session: Session, page: int, size: int = 50, eager: bool = False) -> list[str | None]:
    """Many-to-one: who does each task."""
    tasks = task_page(page, size)
    if eager:
        tasks = tasks.options(joinedload(Task.assignee), raiseload("*"))
    return [task.assignee and task.assignee.display_name for task in session.scalars(tasks)]


def discussions(session: Session, page: int, size: int = 50, eager: bool = False) -> list[list[str]]:
    """One-to-many: the comments of each task."""
    tasks = task_page(page, size)
    if eager:
        tasks = tasks.options(selectinload(Task.comments), raiseload("*"))
    return [[comment.body for comment in task.comments] for task in session.scalars(tasks)]


def topics(session: Session, page: int, size: int = 20, eager: bool = False) -> list[tuple]:
    """One-to-many with many rows each, and the parent in the same table."""
    found = topic_page(page, size)
    if eager:
        found = found.options(selectinload(Topic.atoms), joinedload(Topic.parent), raiseload("*"))
    return [
        (topic.name, topic.parent and topic.parent.name, [atom.title for atom in topic.atoms])
        for topic in session.scalars(found)
    ]


def threads(session: Session, page: int, size: int = 30, eager: bool = False) -> list[tuple]:
    """Two levels: comments of tasks, and the author of each comment."""
    tasks = task_page(page, size)
    if eager:
        tasks = tasks.options(selectinload(Task.comments).joinedload(Comment.author), raiseload("*"))
    return [
        (task.title, [(comment.author and comment.author.display_name, comment.body) for comment in task.comments])
        for task in session.scalars(tasks)
    ]


PAGES = {"assignees": assignees, "discussions": discussions, "topics": topics, "threads": threads}
