delete from dbre.workload_snapshots
where taken_at not in (select s.taken_at from dbre.workload_snapshots s order by s.taken_at desc limit 20)
