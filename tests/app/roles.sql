-- The roles of the application. They belong to the cluster, so they may be there already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['app_owner', 'app_api', 'app_worker', 'app_reporting', 'app_analyst'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            execute pg_catalog.format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;
