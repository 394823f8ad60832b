-- A person's comments; the regression is planted by dropping the index that serves it.
\set author random(1, 2000)
select id, task_id, body from app.comments where tenant_id = 1 and author_id = :author;
