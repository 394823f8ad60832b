-- What the configuration files say, and whether they could be read: the last line that applies counts.
select
    f.name::text,
    f.setting::text,
    f.applied,
    f.error is not null
from pg_catalog.pg_show_all_file_settings() f
where f.error is not null or f.applied and f.name = any ($1::text[])
order by f.seqno
