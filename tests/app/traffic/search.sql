-- Planted: the search box. Nothing indexes the inside of a text, so every message of the tenant is read.
\set word random(1, 9)
select id, chat_id, sent_at, body
from app.telegram_messages
where tenant_id = 1 and body ilike '%customer' || :word || '%'
order by sent_at desc
limit 20;
