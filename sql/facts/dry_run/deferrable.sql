-- Constraints, constraint triggers among them, whose check can wait for the end of a transaction, and whether it does unless
-- the transaction says otherwise. Names that others have whose check cannot wait are left out: SET CONSTRAINTS refuses them.
select n.nspname::text, c.conname::text, pg_catalog.bool_or(c.condeferred)
from pg_catalog.pg_constraint as c
join pg_catalog.pg_namespace as n on n.oid = c.connamespace
where c.contype in ('f', 'p', 'u', 'x', 't')
group by n.nspname, c.conname
having pg_catalog.bool_and(c.condeferrable)
order by 1, 2
