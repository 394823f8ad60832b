-- Processes that send WAL, and whether commits may wait for what they send to: sync, quorum, potential or async; null: hidden from the
-- caller. A function only: no relation that another session may have locked.
select
    w.pid,
    w.sync_state
from pg_catalog.pg_stat_get_wal_senders() w
