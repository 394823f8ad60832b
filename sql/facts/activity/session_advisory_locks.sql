-- Sessions of role $1 in database $2 (OIDs) that hold an advisory lock while they are in no transaction: for the session.
select count(distinct l.pid)
from pg_catalog.pg_lock_status() l
join pg_catalog.pg_stat_get_activity(null) a on a.pid = l.pid
where
    l.locktype = 'advisory'
    and l.granted
    and a.usesysid = $1
    and a.datid = $2
    and a.state = 'idle'
