-- Comments and security labels of this database's objects.
select 'comment', i.type || ' ' || i.identity, d.description
from pg_catalog.pg_description as d
cross join lateral pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
where d.objoid >= 16384
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.classid = d.classoid and e.objid = d.objoid and e.objsubid = 0 and e.deptype = 'e'
    )
union all
-- What a migration may say of an object that the server came with.
select 'comment', i.type || ' ' || i.identity, d.description
from pg_catalog.pg_description as d
cross join lateral pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
where d.objoid < 16384
    and d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
union all
select 'comment', i.type || ' ' || i.identity, d.description
from pg_catalog.pg_shdescription as d
cross join lateral pg_catalog.pg_identify_object(d.classoid, d.objoid, 0) as i
where d.objoid >= 16384
union all
select 'security label', i.type || ' ' || i.identity || ' for ' || l.provider, l.label
from pg_catalog.pg_seclabel as l
cross join lateral pg_catalog.pg_identify_object(l.classoid, l.objoid, l.objsubid) as i
