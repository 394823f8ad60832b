-- A hot lookup: who is this?
\set person random(1, 2000)
select id, role, is_active from app.users where tenant_id = 1 and lower(email) = 'person' || :person || '@example.com';
update app.users set last_seen_at = pg_catalog.now() where tenant_id = 1 and id = :person;
