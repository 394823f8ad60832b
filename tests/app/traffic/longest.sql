-- Planted: sorts more than work_mem holds.
select chat_id, body
from (
    select chat_id, body, payload, pg_catalog.row_number() over (order by pg_catalog.char_length(body) desc, body, id) as place
    from app.telegram_messages
) as ranked
where place % 1000 = 0;
