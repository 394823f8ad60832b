-- The operators that each operator family of btree and hash indexes finds as equality.
select a.amopfamily, a.amopopr
from pg_catalog.pg_amop a
join pg_catalog.pg_am am on am.oid = a.amopmethod
where a.amoppurpose = 's'
    and ((am.amname = 'btree' and a.amopstrategy = 3) or (am.amname = 'hash' and a.amopstrategy = 1))
