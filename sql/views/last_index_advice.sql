create view dbre.last_index_advice as
select last.taken_at, advice.*
from (select s.taken_at, s.findings from dbre.index_advice_snapshots s order by s.taken_at desc limit 1) last
cross join lateral pg_catalog.jsonb_populate_recordset(null::dbre.advice, last.findings) advice;
