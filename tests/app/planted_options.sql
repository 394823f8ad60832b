-- Options for a cluster that is minutes old and a data set that is small. psql variable: size.
-- They are applied to the clean variant as well.
\if :{?size}
\else
\set size small
\endif
select
    8388608::bigint * case :'size' when 'large' then 20 else 1 end as large_bytes,
    2097152::bigint * case :'size' when 'large' then 20 else 1 end as wasted_bytes
\gset

-- A new cluster has young statistics and young files.
select dbre.configure_rule('unused_index', options => '{"min_statistics_days": 0}') \g /dev/null
select dbre.configure_rule('rarely_used_index_with_many_writes', options => '{"min_statistics_days": 0}') \g /dev/null
select dbre.configure_rule('index_on_small_table', options => '{"min_table_age_days": 0}') \g /dev/null

-- Sizes between the tables that are to be large and those that are not.
select dbre.configure_rule('foreign_key_without_index',
    options => pg_catalog.jsonb_build_object('large_bytes', :large_bytes)) \g /dev/null
select dbre.configure_rule('bloated_index',
    options => pg_catalog.jsonb_build_object('min_wasted_bytes', :wasted_bytes)) \g /dev/null

-- Tables of a thousand vectors are to be large here. Which pgvector is installed is not the application's doing.
select dbre.configure_rule(rule, options => '{"min_rows": 500}')
from dbre.rules where rule in ('vector_operator_not_indexed', 'vector_distance_wrapped') \g /dev/null
select dbre.configure_rule('pgvector_outdated', enabled => false) \g /dev/null

-- A demonstration does not wait for minutes.
select dbre.configure_rule('transaction_leaked', options => '{"min_seconds": 1}') \g /dev/null
