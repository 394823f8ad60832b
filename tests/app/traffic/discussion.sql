-- A request in a transaction: one task, its comments, an answer.
\set task random(1, 25000)
begin;
select id as task from app.tasks where tenant_id = 1 and id >= :task order by id limit 1 \gset
select id, body, author_id from app.comments where tenant_id = 1 and task_id = :task order by created_at;
insert into app.comments (tenant_id, task_id, body) values (1, :task, 'On it.');
commit;
