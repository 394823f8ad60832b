-- What a session of this role on this database begins with: what ALTER ROLE and ALTER DATABASE have set is in it.
select
    pg_catalog.max(setting::bigint) filter (where name = 'lock_timeout'),
    pg_catalog.max(reset_val::bigint) filter (where name = 'lock_timeout'),
    pg_catalog.max(setting::bigint) filter (where name = 'statement_timeout'),
    pg_catalog.max(reset_val::bigint) filter (where name = 'statement_timeout'),
    current_user::text
from pg_catalog.pg_settings
where name in ('lock_timeout', 'statement_timeout')
