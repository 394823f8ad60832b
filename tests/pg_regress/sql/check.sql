-- The columns that programs rely on, and who may use what.
\d dbre.findings
\d dbre.rules
\d dbre.rule_settings
\d dbre.suppressions
select proname, pg_get_function_identity_arguments(oid) as arguments, provolatile, proparallel, proconfig
from pg_proc where pronamespace = 'dbre'::regnamespace and proname <> 'missing_fk_indexes' order by proname;
select unnest(proallargtypes)::regtype as type, unnest(proargmodes) as mode, unnest(proargnames) as missing_fk_indexes
from pg_proc where pronamespace = 'dbre'::regnamespace and proname = 'missing_fk_indexes';
select p.proname as function,
    coalesce(array_agg(a.grantee::regrole::text order by 1) filter (where a.grantee <> p.proowner), '{}') as granted_to
from pg_proc p cross join aclexplode(p.proacl) a where p.pronamespace = 'dbre'::regnamespace group by p.proname order by p.proname;
select unnest(enum_range(null::dbre.severity)) as severity;
select extname, extversion, nspname from pg_extension join pg_namespace n on n.oid = extnamespace where extname = 'pg_dbre';
