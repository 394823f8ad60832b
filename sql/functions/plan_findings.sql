create function dbre.plan_findings(plan jsonb)
returns setof dbre.advice
language sql
stable
parallel unsafe
set search_path = pg_catalog, dbre, pg_temp
begin atomic
    select * from dbre.plan_findings(plan::text);
end;
