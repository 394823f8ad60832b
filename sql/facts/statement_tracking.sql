-- Whether and how pg_stat_statements counts.
select
    (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pg_stat_statements'),
    exists (select from pg_catalog.pg_available_extensions a where a.name = 'pg_stat_statements'),
    track.setting,
    track.source,
    (select s.setting from pg_catalog.pg_settings s where s.name = 'compute_query_id'),
    (select s.setting::bigint from pg_catalog.pg_settings s where s.name = 'pg_stat_statements.max'),
    coalesce((select s.setting = 'on' from pg_catalog.pg_settings s where s.name = 'pg_stat_statements.track_planning'), false),
    coalesce((select s.setting = 'on' from pg_catalog.pg_settings s where s.name = 'track_io_timing'), false),
    -- Only for those who may read all settings.
    (select s.setting from pg_catalog.pg_settings s where s.name = 'shared_preload_libraries'),
    (select s.source from pg_catalog.pg_settings s where s.name = 'shared_preload_libraries'),
    pg_catalog.pg_has_role('pg_read_all_stats', 'usage'),
    current_user::text
from (values (true)) one_row
-- Without the library there is no such setting.
left join pg_catalog.pg_settings track on track.name = 'pg_stat_statements.track'
