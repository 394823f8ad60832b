-- A request in autocommit: the board, then the two people whose names it shows beside it.
\set page random(1, 25000)
\set me random(1, 2000)
\set boss random(1, 2000)
select id, title, status, due_at, assignee_id from app.tasks where tenant_id = 1 and id > :page order by id limit 20;
select id, display_name from app.users where tenant_id = 1 and id = :me;
select id, display_name from app.users where tenant_id = 1 and id = :boss;
