-- Constraint, trigger, policy or rule $2 (its kind: $3) of relation $1: the catalog and the OID, and what it says now.
select
    'pg_catalog.pg_constraint'::pg_catalog.regclass::oid,
    c.oid,
    pg_catalog.pg_get_constraintdef(c.oid),
    case
        when not c.condeferrable then 'NOT DEFERRABLE'
        when c.condeferred then 'DEFERRABLE INITIALLY DEFERRED'
        else 'DEFERRABLE INITIALLY IMMEDIATE'
    end,
    case when c.convalidated then 'O' else 'D' end
from pg_catalog.pg_constraint c
where c.conrelid = $1 and c.conname = $2 and $3 = 'constraint'
union all
select 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, pg_catalog.pg_get_triggerdef(t.oid), '', t.tgenabled::text
from pg_catalog.pg_trigger t
where t.tgrelid = $1 and (t.tgname = $2 or $2 = '' and not t.tgisinternal) and $3 = 'trigger'
union all
select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, pg_catalog.pg_get_ruledef(r.oid), '', r.ev_enabled::text
from pg_catalog.pg_rewrite r
where r.ev_class = $1 and r.rulename = $2 and $3 = 'rule'
union all
select 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid,
    pg_catalog.concat_ws(
        ' ',
        'TO ' || (
            select pg_catalog.string_agg(case when o = 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o)) end, ', ')
            from pg_catalog.unnest(p.polroles) o
        ),
        'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
        'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
    ),
    '',
    'O'
from pg_catalog.pg_policy p
where p.polrelid = $1 and p.polname = $2 and $3 = 'policy'
