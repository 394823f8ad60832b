"""A service whose sessions are not all closed: SQLAlchemy's pool runs out while the server has slots.

Each request that fails to get a connection within the pool's timeout is counted. Says what it has come to in one line, then
waits until its standard input ends, and answers one more request.
"""

import sys

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import Session

engine = create_engine("postgresql+psycopg://", pool_size=8, max_overflow=2, pool_timeout=0.2)
forgotten = []


def healthy(number: int) -> None:
    with Session(engine) as session:
        session.execute(text("select n from stock where id = :id"), {"id": number}).all()


def leaks_a_session(number: int) -> None:
    session = Session(engine)
    session.execute(text("select price from article where id = :id"), {"id": number}).all()
    forgotten.append(session)


def leaks_after_an_error(number: int) -> None:
    session = Session(engine)
    try:
        session.execute(text("insert into article values (:id, 1)"), {"id": number})
        session.commit()
    except DBAPIError:
        forgotten.append(session)


def answered(request, number: int) -> bool:
    try:
        request(number)
    except TimeoutError:
        return False
    return True


healthy(1)
leaked = sum(answered(leaks_a_session, number) for number in range(7))
leaked += sum(answered(leaks_after_an_error, 1) for number in range(2))
# The last one is busy for good reason: it commits.
kept = engine.connect()
kept.execute(text("select 1"))
kept.commit()
refused = sum(not answered(healthy, number) for number in range(5))
print(f"{leaked} leaked, {refused} refused by the pool: {engine.pool.status()}", flush=True)
sys.stdin.read()
# What was ended on the server is found out by the next use: after the fix the application must forget its sessions.
for session in forgotten:
    try:
        session.close()
    except DBAPIError:
        pass
kept.close()
print(f"{sum(answered(healthy, 1) for _ in range(3))} answered", flush=True)
