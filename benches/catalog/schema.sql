-- A database of :tables tables, the same on every run:
--     psql -v ON_ERROR_STOP=1 -v tables=10000 -f schema.sql
-- Wants an empty database and no surrounding transaction: it commits every 50 tables so that the lock table of a default server holds them.
\set QUIET on
set client_min_messages = warning;
set synchronous_commit = off;
set timezone = 'UTC';
select pg_catalog.set_config('catalog_bench.tables', :'tables', false) \g /dev/null

-- Table number i is described by functions of i alone, so that a foreign key knows its target without looking it up.
create function pg_temp.noun(i int) returns text immutable language sql as $$
    select (array['customers', 'orders', 'items', 'invoices', 'payments', 'events', 'sessions', 'messages', 'tasks', 'comments', 'files', 'accounts'])[1 + i % 12]
$$;

create function pg_temp.schema_name(i int) returns text immutable language sql as $$
    select (array['sales', 'billing', 'catalog', 'audit', 'support', 'shipping', 'identity', 'reporting', 'content', 'search', 'ledger', 'crm', 'hr', 'risk',
                  'pricing', 'archive', 'mobile', 'partner', 'Data Warehouse', 'übersicht'])[1 + i / 10 % 20]
$$;

create function pg_temp.table_name(i int) returns text immutable language sql as $$
    select case
        when i % 97 = 0 then 'größe_' || i
        when i % 89 = 0 then 'сообщения_' || i
        when i % 61 = 0 then 'the "best" ' || i
        when i % 50 = 25 then 'Order.Items ' || i
        else pg_temp.noun(i) || '_' || i
    end
$$;

create function pg_temp.qualified(i int) returns text immutable language sql as $$
    select pg_catalog.format('%I.%I', pg_temp.schema_name(i), pg_temp.table_name(i))
$$;

create function pg_temp.row_count(i int) returns int immutable language sql as $$
    select case when i % 250 = 60 then 5000 when i % 7 = 0 then 0 else 1 + i * 13 % 50 end
$$;

create function pg_temp.has_key(i int) returns boolean immutable language sql as $$
    select i % 33 <> 0
$$;

create function pg_temp.has_two_column_key(i int) returns boolean immutable language sql as $$
    select i % 20 = 7
$$;

create function pg_temp.id_type(i int) returns text immutable language sql as $$
    select case when i % 20 = 7 then 'bigint' when i % 10 in (6, 7) then 'int' when i % 10 = 8 then 'uuid' when i % 10 = 9 then 'text' else 'bigint' end
$$;

create function pg_temp.id_value(type text, row_number text) returns text immutable language sql as $$
    select case
        when type like 'text%' then '''k'' || ' || row_number
        when type = 'uuid' then 'pg_catalog.md5((' || row_number || ')::text)::uuid'
        else row_number
    end
$$;

-- Columns, indexes and foreign keys per table vary in cycles whose averages are 12, 3 and 0.8.
create function pg_temp.column_count(i int) returns int immutable language sql as $$
    select (array[12, 8, 16, 9, 15, 12, 10, 14, 12, 12])[1 + i % 10]
$$;

create function pg_temp.index_count(i int) returns int immutable language sql as $$
    select (array[3, 1, 5, 2, 4, 3, 3, 3, 3, 3])[1 + i % 10]
$$;

-- Foreign key number k of n belongs to this one of the plain tables; some tables get two, some none.
create function pg_temp.foreign_key_owner(k int, n int, plain int) returns int immutable language sql as $$
    select slot - (slot % 5 in (0, 2))::int
    from (select ((k::bigint * plain + n - 1) / n)::int as slot) as s
$$;

create function pg_temp.partitions() returns int stable language sql as $$
    select pg_catalog.current_setting('catalog_bench.tables')::int / 10
$$;

create function pg_temp.parents() returns int stable language sql as $$
    select (pg_temp.partitions() + 19) / 20
$$;

create function pg_temp.parent_name(p int) returns text immutable language sql as $$
    select pg_catalog.format('%I.%I', pg_temp.schema_name(p * 10), pg_temp.noun(p) || '_by_day_' || p)
$$;

do $$
begin
    for s in 0..19 loop
        execute pg_catalog.format('create schema %I', pg_temp.schema_name(s * 10));
    end loop;
end
$$;

-- Partitioned tables first: plain tables reference them.
do $$
declare
    parents constant int := pg_temp.parents();
    partitions constant int := pg_temp.partitions();
    parent text;
    days int;
begin
    for p in 1..parents loop
        parent := pg_temp.parent_name(p);
        days := least(20, partitions - (p - 1) * 20);
        execute pg_catalog.format(
            'create table %s (
                id bigint not null,
                created_at timestamptz not null,
                owner_id bigint,
                status text not null,
                kind int,
                amount numeric(12, 2),
                payload jsonb,
                trace uuid,
                done boolean,
                note varchar(80),
                ratio double precision,
                day date,
                primary key (id, created_at)
            ) partition by range (created_at)', parent);
        execute pg_catalog.format('create index on %s (%s)', parent, case when p % 3 = 0 then 'status, owner_id' else 'owner_id' end);
        execute pg_catalog.format('create index on %s (status, created_at desc)', parent);
        for d in 1..days loop
            execute pg_catalog.format(
                'create table %I.%I partition of %s for values from (%L) to (%L)',
                pg_temp.schema_name(p * 10), pg_temp.noun(p) || '_by_day_' || p || '_' || d, parent,
                '2024-01-01'::date + d - 1, '2024-01-01'::date + d);
        end loop;
        execute pg_catalog.format(
            'insert into %s
             select g, ''2024-01-01''::timestamptz + (g %% %s) * interval ''1 day'' + interval ''1 hour'', null,
                 (array[''new'', ''open'', ''done''])[1 + g %% 3], g %% 9, g * 1.25, pg_catalog.jsonb_build_object(''n'', g), pg_catalog.md5(g::text)::uuid,
                 g %% 2 = 0, ''note '' || g %% 13, g / 7.0, ''2024-01-01''::date + g %% %s
             from pg_catalog.generate_series(1, %s) as g', parent, days, days, days * 15);
        commit;
    end loop;
end
$$;

do $$
declare
    tables constant int := pg_catalog.current_setting('catalog_bench.tables')::int;
    parents constant int := pg_temp.parents();
    plain constant int := tables - pg_temp.partitions() - parents;
    foreign_keys constant int := tables * 8 / 10 - parents;

    filler_types constant text[] := array['text', 'int', 'timestamptz', 'boolean', 'bigint', 'numeric(12,2)', 'jsonb', 'uuid', 'date', 'varchar(40)', 'double precision', 'text[]'];
    filler_names constant text[] := array['title', 'quantity', 'changed_at', 'active', 'external_number', 'amount', 'attributes', 'token', 'due_on', 'code', 'score', 'tags'];
    filler_values constant text[] := array[
        'case when g % 9 > 0 then ''title '' || g % 17 end',
        'g * 7 % 23',
        '''2024-01-01''::timestamptz + g * interval ''37 minutes''',
        'g % 3 = 0',
        'g * 1000003::bigint',
        'case when g % 4 > 0 then g * 1.25 end',
        'pg_catalog.jsonb_build_object(''n'', g, ''state'', g % 3)',
        'pg_catalog.md5(g::text)::uuid',
        '''2024-01-01''::date + g % 31',
        '''C-'' || g % 11',
        'g / 7.0',
        'array[''tag '' || g % 5, ''tag '' || g % 3]'];

    column_names text[];
    column_types text[];
    column_values text[];
    fillers text[];         -- quoted names of the columns that are neither key nor foreign key, and their types
    kinds text[];
    keys text[];            -- foreign key clauses
    covers text[];          -- column lists of the indexes that cover them
    indexes text[];         -- what follows "on <table>"
    this text;
    key text;
    k int := 0;             -- foreign keys so far
    made int := 0;          -- indexes so far, and of these:
    special int := 0;       --     partial and expression indexes
    copies int := 0;        --     duplicates and prefixes of others
    quota int;
    f int;
    j int;
    x text;
    type text;
    target text;
    names text[];
    action text;
begin
    for i in 1..plain loop
        this := pg_temp.qualified(i);
        column_names := '{}'; column_types := '{}'; column_values := '{}'; fillers := '{}'; kinds := '{}'; keys := '{}'; covers := '{}'; indexes := '{}'; key := null;

        if pg_temp.has_two_column_key(i) then
            column_names := array['tenant_id'];
            column_types := array['int not null'];
            column_values := array['g % 5'];
        end if;
        column_names := column_names || 'id'::text;
        column_types := column_types || (pg_temp.id_type(i) || ' not null');
        column_values := column_values || pg_temp.id_value(pg_temp.id_type(i), 'g');
        if pg_temp.has_key(i) then
            key := pg_catalog.array_to_string(column_names, ', ');
        end if;

        while k < foreign_keys and pg_temp.foreign_key_owner(k + 1, foreign_keys, plain) = i loop
            k := k + 1;
            f := pg_catalog.cardinality(keys) + 1;
            action := (array['', ' on delete cascade', '', ' on delete set null', ' on delete restrict', ' on update cascade'])[1 + k % 6];
            if k % 160 = 80 then
                j := 1 + k % parents;
                names := array[pg_catalog.format('day%s_id', f), pg_catalog.format('day%s_at', f)];
                column_types := column_types || array['bigint', 'timestamptz'];
                column_values := column_values || array['null', 'null'];
                target := pg_temp.parent_name(j) || ' (id, created_at)';
            elsif k % 20 = 3 and i > 7 then
                j := 7 + 20 * (k * 31 % ((i - 8) / 20 + 1));
                if not pg_temp.has_key(j) then
                    j := 7;
                end if;
                names := array[pg_catalog.format('tenant%s_id', f), pg_catalog.format('%s%s_id', pg_temp.noun(j), f)];
                column_types := column_types || array['int', 'bigint'];
                x := pg_catalog.format('(1 + g %% %s)', nullif(pg_temp.row_count(j), 0));
                column_values := column_values || case when pg_temp.row_count(j) > 0 then array[x || ' % 5', x] else array['null', 'null'] end;
                target := pg_temp.qualified(j) || ' (tenant_id, id)';
            else
                j := 1 + (k * 7919::bigint % greatest(i - 1, 1))::int;
                if k % 40 = 9 then
                    j := i;
                end if;
                while not pg_temp.has_key(j) or pg_temp.has_two_column_key(j) loop
                    j := j - 1;
                end loop;
                type := pg_temp.id_type(j);
                names := array[case when j = i then pg_catalog.format('parent%s_id', f) else pg_catalog.format('%s%s_id', pg_temp.noun(j), f) end];
                column_types := column_types || case
                    when k % 50 <> 17 then type
                    when type = 'bigint' then 'int'
                    when type = 'int' then 'bigint'
                    when type = 'text' then 'text collate "C"'
                    else type
                end;
                column_values := column_values || case
                    when pg_temp.row_count(j) = 0 then 'null'
                    else pg_temp.id_value(type, pg_catalog.format('(1 + g %% %s)', pg_temp.row_count(j)))
                end;
                target := pg_temp.qualified(j) || ' (id)';
            end if;
            column_names := column_names || names;
            x := pg_catalog.array_to_string(names, ', ');
            keys := keys || pg_catalog.format('add foreign key (%s) references %s%s', x, target, action);
            if k % 19 < 16 then
                covers := covers || x;
            end if;
        end loop;

        for q in 1..pg_temp.column_count(i) - pg_catalog.cardinality(column_names) loop
            f := 1 + (i + q) % 12;
            x := case when q > 12 then filler_names[f] || '_2' when i % 40 = 13 and q = 1 then 'Größe "in m²"' else filler_names[f] end;
            fillers := fillers || pg_catalog.format('%I', x);
            kinds := kinds || filler_types[f];
            column_names := column_names || x;
            column_types := column_types || (filler_types[f] || case when f in (2, 4) and i % 3 > 0 then ' not null' else '' end);
            column_values := column_values || filler_values[f];
        end loop;

        quota := pg_temp.index_count(i);
        if key is not null then
            quota := quota - 1;
            made := made + 1;
        end if;
        indexes := covers[1:quota];
        f := 0;
        while pg_catalog.cardinality(indexes) < quota loop
            f := f + 1;
            x := fillers[1 + f % pg_catalog.cardinality(fillers)];
            type := kinds[1 + f % pg_catalog.cardinality(fillers)];
            target := fillers[1 + (f + 1) % pg_catalog.cardinality(fillers)];
            j := made + pg_catalog.cardinality(indexes);
            if special < j / 18 then
                special := special + 1;
                indexes := indexes || case
                    when special % 3 = 0 and type in ('text', 'varchar(40)') then pg_catalog.format('(pg_catalog.lower(%s))', x)
                    when special % 3 = 0 and type <> 'jsonb' then pg_catalog.format('((%s is null))', x)
                    when type in ('jsonb', 'text[]') then pg_catalog.format('id) where (%s is not null', x)
                    else pg_catalog.format('%s) where (%s is not null', x, target)
                end;
            elsif copies < j / 30 and pg_catalog.cardinality(indexes) > 0 and indexes[1] !~ 'where|using|\(\(|lower' then
                copies := copies + 1;
                indexes := indexes || case when copies % 2 = 0 then indexes[1] else indexes[1] || ', id' end;
            else
                indexes := indexes || case
                    when type in ('jsonb', 'text[]') and j % 8 > 0 then 'using gin ' || x
                    when type = 'timestamptz' and j % 7 = 0 then 'using brin ' || x
                    when type = 'text' and j % 13 = 0 then 'using hash ' || x
                    when type = 'bigint' and j % 4 = 0 then 'unique ' || x
                    when j % 11 = 0 then pg_catalog.format('%s) include (%s', x, target)
                    when j % 5 = 0 then pg_catalog.format('%s, id', x)
                    when type = 'timestamptz' then x || ' desc'
                    else x
                end;
            end if;
        end loop;
        made := made + quota;

        execute pg_catalog.format(
            'create table %s (%s%s)', this,
            (select pg_catalog.string_agg(pg_catalog.format('%I %s', c.name, c.type), ', ' order by c.n)
             from unnest(column_names, column_types) with ordinality as c (name, type, n)),
            ', primary key (' || key || ')');
        if pg_temp.row_count(i) > 0 then
            execute pg_catalog.format(
                'insert into %s select %s from pg_catalog.generate_series(1, %s) as g',
                this, pg_catalog.array_to_string(column_values, ', '), pg_temp.row_count(i));
        end if;
        foreach x in array indexes loop
            execute case
                when x like 'using %' then pg_catalog.format('create index on %s %s)', this, pg_catalog.regexp_replace(x, '^(using \w+) ', '\1 ('))
                when x like 'unique %' then pg_catalog.format('create unique index on %s (%s)', this, pg_catalog.substr(x, 8))
                else pg_catalog.format('create index on %s (%s)', this, x)
            end;
        end loop;
        if pg_catalog.cardinality(keys) > 0 then
            execute pg_catalog.format('alter table %s %s', this, pg_catalog.array_to_string(keys, ', '));
        end if;
        if i % 50 = 0 then
            commit;
        end if;
    end loop;
end
$$;

-- The foreign keys of the partitioned tables, cloned by the server to each partition.
do $$
declare
    plain constant int := pg_catalog.current_setting('catalog_bench.tables')::int - pg_temp.partitions() - pg_temp.parents();
begin
    for p in 1..pg_temp.parents() loop
        execute pg_catalog.format(
            'alter table %s add foreign key (owner_id) references %s (id)%s',
            pg_temp.parent_name(p), pg_temp.qualified(1 + p * 170 % plain / 330 * 330), case when p % 2 = 0 then ' on delete cascade' else '' end);
        commit;
    end loop;
end
$$;

vacuum (analyze);

select
    pg_catalog.count(*) filter (where c.relkind in ('r', 'p')) as tables,
    pg_catalog.count(*) filter (where c.relkind = 'r' and c.relispartition) as partitions,
    (select pg_catalog.count(*)
     from pg_catalog.pg_attribute as a
     join pg_catalog.pg_class as t on t.oid = a.attrelid
     join pg_catalog.pg_namespace as s on s.oid = t.relnamespace
     where t.relkind in ('r', 'p') and a.attnum > 0 and s.nspname !~ '^(pg_|information_schema$)') as columns,
    pg_catalog.count(*) filter (where c.relkind in ('i', 'I')) as indexes,
    (select pg_catalog.count(*) from pg_catalog.pg_constraint as f where f.contype = 'f' and f.conparentid = 0) as foreign_keys
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)';
