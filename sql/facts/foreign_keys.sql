-- Foreign keys as they were declared: the copies that partitions have are left out.
select
    c.conname::text,
    c.conrelid,
    c.confrelid,
    c.conkey,
    c.confkey,
    c.conpfeqop,
    c.confdeltype::text,
    c.confupdtype::text
from pg_catalog.pg_constraint c
where c.contype = 'f' and c.conparentid = 0
