-- Processes that work for subscriptions. A function only: no relation that another session may have locked.
select
    s.pid,
    s.subid
from pg_catalog.pg_stat_get_subscription(null) s
where s.pid is not null
