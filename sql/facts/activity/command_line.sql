-- The postmaster's command line: every argument in double quotes. Only a superuser may read it, as a rule.
select pg_catalog.pg_read_file('postmaster.opts', true)
