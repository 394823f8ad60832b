-- Planted: a report that compares every message with those that begin alike. Few calls, a second and more each.
select pg_catalog.date_trunc('month', a.sent_at) as month, pg_catalog.count(*) as repeated
from app.telegram_messages as a
join app.telegram_messages as b
    on pg_catalog.split_part(b.body, '.', 1) = pg_catalog.split_part(a.body, '.', 1)
    and pg_catalog.char_length(b.body) <> pg_catalog.char_length(a.body)
    and b.sent_at > a.sent_at
group by 1
order by 1;
