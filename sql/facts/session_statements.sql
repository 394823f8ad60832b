-- Statements that may use what outlives a transaction: a wide choice, by words that all of those have. {schema}: where
-- pg_stat_statements is installed.
select
    d.datname::text,
    pg_catalog.pg_get_userbyid(s.userid)::text,
    s.query,
    s.calls
from {schema}.pg_stat_statements s
join pg_catalog.pg_database d on d.oid = s.dbid
where s.query ~* '\m(listen|load|set|prepare|execute|hold|(pg_)?temp|temporary|pg_(try_)?advisory_lock(_shared)?|set_config)\M'
    -- not those of this extension
    and s.query not like '/* pg_dbre */%'
