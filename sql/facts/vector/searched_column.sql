select attname::text,
       atttypid,
       pg_catalog.format_type(atttypid, atttypmod),
       atttypmod
from pg_catalog.pg_attribute
where attrelid = $1 and attnum = $2 and not attisdropped
