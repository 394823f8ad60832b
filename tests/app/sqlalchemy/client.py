"""The sample application's client: SQLAlchemy 2 over psycopg 3.

    client.py COMMAND [--requests N] [--pages NAME,NAME]

Connects as libpq's environment says (PGHOST, PGDATABASE, PGUSER, PGOPTIONS with app.tenant_id) and prints what it read as
one line, so that two forms of a page can be compared. COMMANDS below says what each command stands for.
"""

import argparse
import asyncio
import hashlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

from sqlalchemy import create_engine, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from models import Atom, Job, Task, Topic, User
from pages import PAGES, TENANT, task_page

URL = "postgresql+psycopg://"
QUEUE = "ingest"


@contextmanager
def connected(**options):
    database = create_engine(URL, **options)
    try:
        yield database
    finally:
        database.dispose()


def digest(answers) -> str:
    return hashlib.sha256(repr(answers).encode()).hexdigest()[:16]


def requests(database, arguments, eager=False):
    """A request is a session of its own: nothing is cached from one to the next."""
    answers = []
    for number, name in itertools.product(range(arguments.requests), arguments.pages):
        with Session(database) as session:
            answers.append(PAGES[name](session, number, eager=eager))
    return digest(answers)


def lazy(arguments):
    """The ORM's default: related rows are loaded one object at a time."""
    with connected() as database:
        return requests(database, arguments)


def eager(arguments):
    """The same pages with joinedload and selectinload."""
    with connected() as database:
        return requests(database, arguments, eager=True)


def lazy_async(arguments):
    """The lazy pages over the asynchronous driver."""

    async def serve():
        database = create_async_engine(URL)
        answers = []
        for number, name in itertools.product(range(arguments.requests), arguments.pages):
            async with AsyncSession(database) as session:
                answers.append(await session.run_sync(PAGES[name], number))
        await database.dispose()
        return digest(answers)

    return asyncio.run(serve())


def pooled(arguments, pause=0):
    """Autocommit and a pool of five connections: one query lists, then each row is looked up by whichever thread is free."""

    def assigned(number):
        page = task_page(number, 50).with_only_columns(Task.id, Task.assignee_id)
        with database.connect() as connection:
            return [task.assignee_id for task in connection.execute(page) if task.assignee_id]

    def names(number):
        time.sleep(pause)
        return list(threads.map(name, assigned(number)))

    def name(user):
        with database.connect() as connection:
            return connection.scalar(select(User.display_name).where(User.tenant_id == TENANT, User.id == user))

    pool = connected(isolation_level="AUTOCOMMIT", pool_size=5, max_overflow=0)
    with pool as database, ThreadPoolExecutor(5) as threads:
        return digest([names(number) for number in range(arguments.requests)])


def pooled_slowly(arguments):
    """The same, with time between the requests."""
    return pooled(arguments, pause=1.5)


def tagged(arguments):
    """The lazy pages with sqlcommenter's tags."""
    tags = {
        "action": "index",
        "controller": "tasks",
        "framework": "fastapi:0.115",
        "route": "/tasks/{page}?view=it's all",
    }
    comment = ",".join(f"{key}='{quote(value, safe='')}'" for key, value in tags.items())

    def add_tags(_connection, _cursor, statement, parameters, _context, _many):
        # The driver takes % for a parameter.
        return f"{statement} /*{comment.replace('%', '%%')}*/", parameters

    with connected() as database:
        event.listen(database, "before_cursor_execute", add_tags, retval=True)
        return requests(database, arguments)


def polling(arguments):
    """A worker that asks again and again whether there is something to do."""
    waiting = select(func.count()).select_from(Job).where(Job.queue == "digest", Job.status == "queued")
    polls = arguments.requests * 10
    with connected(isolation_level="AUTOCOMMIT") as database, database.connect() as connection:
        for _ in range(polls):
            connection.scalar(waiting)
            time.sleep(0.002)
    return polls


def batch(arguments):
    """What repeats a statement because it has to: inserts one by one, a queue's worker, a recalculation row by row."""
    with connected() as database:
        enqueue(database, arguments.requests * 10)
        return work(database), recalculate(database)


def enqueue(database, count):
    for number in range(count):
        with Session(database) as session:
            job = Job(tenant_id=TENANT, queue=QUEUE, status="queued", payload={"message": number})
            session.add(job)
            session.commit()


def work(database):
    """Takes jobs until the queue is empty, each in a transaction of its own."""
    waiting = select(Job).where(Job.tenant_id == TENANT, Job.queue == QUEUE, Job.status == "queued")
    next_job = waiting.order_by(Job.run_after).limit(1).with_for_update(skip_locked=True)
    for done in itertools.count():
        with Session(database) as session:
            job = session.scalar(next_job)
            if job is None:
                return done
            job.status = "succeeded"
            job.attempts += 1
            session.commit()


def recalculate(database):
    with Session(database) as session:
        atoms = session.execute(keys_of_atoms(2000).add_columns(Atom.confidence)).all()
        for atom, confidence in atoms:
            own = update(Atom).where(Atom.tenant_id == TENANT, Atom.id == atom)
            session.execute(own.values(confidence=round(confidence * 0.99, 4)))
        session.commit()
    return len(atoms)


def backfill(arguments):
    """A nightly job: it lists keys once, then reads and writes each row in a transaction of its own."""
    with connected() as database:
        with Session(database) as session:
            keys = session.scalars(keys_of_atoms(arguments.requests * 50)).all()
        for key in keys:
            with Session(database) as session:
                atom = session.get(Atom, (TENANT, key))
                atom.title = f"{atom.title.strip()}."
                session.commit()
        return len(keys)


def keys_of_atoms(count):
    return select(Atom.id).where(Atom.tenant_id == TENANT).order_by(Atom.id).limit(count)


def jobs(arguments):
    """Reads that a job repeats in one transaction because it has to: pages of an export, names of an import, numbers."""
    with connected() as database:
        for _ in range(max(1, arguments.requests // 4)):
            with Session(database) as session:
                export(session, pages=40)
                for number in range(60):
                    session.scalar(select(Topic.id).where(Topic.tenant_id == TENANT, Topic.slug == f"topic-{number}"))
                for _ in range(30):
                    session.scalar(select(func.nextval("app.invoice_numbers")))
        return arguments.requests


def export(session, pages):
    last = 0
    for _ in range(pages):
        page = select(Task.id, Task.title).where(Task.tenant_id == TENANT, Task.id > last).order_by(Task.id).limit(50)
        last = session.execute(page).all()[-1].id


COMMANDS = {
    command.__name__: command
    for command in (lazy, eager, lazy_async, pooled, pooled_slowly, tagged, polling, batch, backfill, jobs)
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--pages", type=lambda names: names.split(","), default=list(PAGES))
    arguments = parser.parse_args()
    print(COMMANDS[arguments.command](arguments))


if __name__ == "__main__":
    main()
