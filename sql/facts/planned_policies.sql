-- $1 oid[]: tables of a plan, with their policies for reading.
select
    p.polrelid,
    pg_catalog.quote_ident(p.polname),
    pg_catalog.pg_get_expr(p.polqual, p.polrelid)
from pg_catalog.pg_policy p
where p.polrelid = any ($1) and p.polcmd in ('*', 'r')
order by p.polrelid, p.polname
