-- A report for which its role has enough memory.
\set day random(1, 300)
select chat_id, pg_catalog.count(*) as messages, pg_catalog.max(sent_at) as last
from app.telegram_messages
where sent_at >= pg_catalog.date_trunc('month', pg_catalog.now()) - interval '1 day' * :day
    and sent_at < pg_catalog.date_trunc('month', pg_catalog.now()) - interval '1 day' * (:day - 1)
group by chat_id
order by messages desc;
