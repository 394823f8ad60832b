-- Kinds of objects that migrations seldom touch: that they are there, whose they are, and what they say of themselves.
select i.type, i.identity, pg_catalog.concat_ws(E'\n', 'owner ' || o.owner::pg_catalog.regrole::text, o.definition)
from (
    select 'pg_catalog.pg_collation'::pg_catalog.regclass as class, c.oid, c.collowner as owner, pg_catalog.format('%s %s %s %s', c.collprovider, c.collisdeterministic, coalesce(c.colllocale, c.collcollate), c.collctype) as definition
    from pg_catalog.pg_collation as c
    union all
    select 'pg_catalog.pg_conversion'::pg_catalog.regclass, c.oid, c.conowner, pg_catalog.format('%s to %s by %s', c.conforencoding, c.contoencoding, c.conproc)
    from pg_catalog.pg_conversion as c
    union all
    select 'pg_catalog.pg_cast'::pg_catalog.regclass, c.oid, null, pg_catalog.format('%s %s by %s', c.castcontext, c.castmethod, c.castfunc::pg_catalog.regprocedure)
    from pg_catalog.pg_cast as c
    union all
    select 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, o.oprowner, pg_catalog.format('%s by %s, commutator %s, negator %s, restrict %s, join %s, hashes %s, merges %s', o.oprresult::pg_catalog.regtype, o.oprcode, o.oprcom::pg_catalog.regoperator, o.oprnegate::pg_catalog.regoperator, o.oprrest, o.oprjoin, o.oprcanhash, o.oprcanmerge)
    from pg_catalog.pg_operator as o
    union all
    select 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, o.opcowner, pg_catalog.format('for %s default %s', o.opcintype::pg_catalog.regtype, o.opcdefault)
    from pg_catalog.pg_opclass as o
    union all
    select 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid, o.opfowner, null
    from pg_catalog.pg_opfamily as o
    union all
    select 'pg_catalog.pg_am'::pg_catalog.regclass, a.oid, null, pg_catalog.format('%s by %s', a.amtype, a.amhandler)
    from pg_catalog.pg_am as a
    union all
    select 'pg_catalog.pg_language'::pg_catalog.regclass, l.oid, l.lanowner, l.lanacl::text
    from pg_catalog.pg_language as l
    union all
    select 'pg_catalog.pg_ts_config'::pg_catalog.regclass, c.oid, c.cfgowner, (
        select pg_catalog.string_agg(pg_catalog.format('%s: %s', m.maptokentype, m.mapdict::pg_catalog.regdictionary), ', ' order by m.maptokentype, m.mapseqno)
        from pg_catalog.pg_ts_config_map as m
        where m.mapcfg = c.oid
    )
    from pg_catalog.pg_ts_config as c
    union all
    select 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, d.oid, d.dictowner, d.dictinitoption
    from pg_catalog.pg_ts_dict as d
    union all
    select 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, f.oid, f.fdwowner, pg_catalog.concat_ws(' ', f.fdwhandler::text, f.fdwoptions::text, f.fdwacl::text)
    from pg_catalog.pg_foreign_data_wrapper as f
    union all
    select 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, s.oid, s.srvowner, pg_catalog.concat_ws(' ', s.srvtype, s.srvversion, s.srvoptions::text, s.srvacl::text)
    from pg_catalog.pg_foreign_server as s
    union all
    select 'pg_catalog.pg_user_mapping'::pg_catalog.regclass, u.umid, null, u.umoptions::text
    from pg_catalog.pg_user_mappings as u
    union all
    select 'pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass, l.oid, l.lomowner, l.lomacl::text
    from pg_catalog.pg_largeobject_metadata as l
) as o
cross join lateral pg_catalog.pg_identify_object(o.class, o.oid, 0) as i
where o.oid >= 16384
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.classid = o.class and e.objid = o.oid and e.deptype = 'e'
    )
