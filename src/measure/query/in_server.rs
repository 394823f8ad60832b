//! Shapes and parameter values of queries, in a server.

#[pgrx::pg_schema]
mod tests {
    use crate::db::{self, guarded};
    use crate::facts::query::*;
    use crate::measure::query::{Query, Value, representative};
    use pgrx::prelude::*;

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    /// Tables, views and policies for queries to be about.
    const SHAPE_SCHEMA: &str = "
        create extension pg_trgm;
        create extension vector;
        create schema s;
        set search_path = s, public;
        create type state as enum ('new', 'old');
        create domain code as text;
        create table t (id bigint, a int, b int, c int, name varchar, flag boolean, done boolean, created timestamptz, code code, state state);
        create table u (id bigint, t_id bigint, x int);
        create table docs (id bigint, data jsonb, tags text[], body tsvector, title text, during tstzrange, place point, embedding vector(3), letters char(8));
        create table parts (region text, at timestamptz, n int) partition by list (region);
        create table parts_x partition of parts for values in ('x');
        create table parts_y partition of parts for values in ('y');
        create table parent (a int);
        create table child (b int) inherits (parent);
        create view v as select u.x, t.a from u join t using (id) where t.b = 4;
        create view sums as select t_id, sum(x) from u group by t_id;
        create table owned (owner name, amount int);
        create policy own on owned using (owner = current_user);
        alter table owned enable row level security;
        alter table owned force row level security;
        create view guarded with (security_barrier) as select * from owned where amount > 3;
        create role reader;
        grant usage on schema s to reader;
        grant select on owned, guarded to reader";

    fn shape(sql: &str) -> QueryShape {
        Query::analyze("query", sql).shape()
    }

    fn relation_name(oid: u32) -> String {
        let table = pg_sys::Oid::from_u32(oid);
        db::read("select relname::text from pg_class where oid = $1", &[table.into()], |row| row.take::<String>())
            .remove(0)
    }

    fn printed_part(part: &Part) -> String {
        match part {
            Part::Column(number) => format!("#{number}"),
            Part::Expression(text) => text.clone(),
        }
    }

    fn printed_conditions(shape: &QueryShape) -> String {
        let printed = |reference: &Reference| {
            let conditions = reference.conditions.iter().map(|condition| match condition.kind {
                ConditionKind::Join { table } => format!("Join {} {}", relation_name(table), condition.text),
                kind => format!("{kind:?} {}", condition.text),
            });
            let conditions = conditions.collect::<Vec<_>>().join(", ");
            format!("{}: {conditions}", relation_name(reference.table)).trim_end().to_string()
        };
        shape.references.iter().map(printed).collect::<Vec<_>>().join("; ")
    }

    fn printed_orders(shape: &QueryShape) -> String {
        let printed = |reference: &Reference| {
            let orders = reference.orders.iter().map(|order| {
                let keys = order.keys.iter().map(|key| {
                    let direction = if key.descending { " desc" } else { "" };
                    let nulls = if key.nulls_first != key.descending { " nulls moved" } else { "" };
                    format!("{}{direction}{nulls}", printed_part(&key.part))
                });
                let keys = keys.collect::<Vec<_>>().join(", ");
                if order.any_order { format!(" any ({keys})") } else { format!(" ({keys})") }
            });
            format!("{}{}", relation_name(reference.table), orders.collect::<String>())
        };
        shape.references.iter().map(printed).collect::<Vec<_>>().join("; ")
    }

    /// Those of the first reference's first condition, or else order.
    fn printed_ways(shape: &QueryShape) -> String {
        let reference = &shape.references[0];
        let ways = reference.conditions.first().map(|condition| &condition.ways);
        let printed = ways.unwrap_or_else(|| &reference.orders[0].keys[0].ways).iter().map(|way| {
            let collation = way.collation.as_ref().map(|name| format!(" collate {name}")).unwrap_or_default();
            let class = way.class.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{}{collation}{class}", way.method)
        });
        printed.collect::<Vec<_>>().join(", ")
    }

    fn printed_columns(shape: &QueryShape) -> String {
        let printed = |reference: &Reference| {
            let whole = if reference.whole_rows { " whole rows" } else { "" };
            let predicates = reference.predicates.iter().map(|text| format!(" where {text}")).collect::<String>();
            format!("{} {:?}{whole}{predicates}", relation_name(reference.table), reference.columns)
        };
        shape.references.iter().map(printed).collect::<Vec<_>>().join("; ")
    }

    fn printed_parameters(shape: &QueryShape) -> String {
        let printed = |parameter: &Parameter| {
            let column = parameter.column.map(|(table, number)| format!(" {}#{number}", relation_name(table)));
            format!("${} {:?}{}", parameter.number, parameter.role, column.unwrap_or_default())
        };
        shape.parameters.iter().map(printed).collect::<Vec<_>>().join(", ")
    }

    fn expect(cases: &[(&str, &str)], printed: impl Fn(&QueryShape) -> String) {
        for (sql, expected) in cases {
            assert_eq!(printed(&shape(sql)), *expected, "{sql}");
        }
    }

    #[pg_test]
    fn conditions_are_found_wherever_a_query_has_them() {
        run(SHAPE_SCHEMA);
        let cases = [
            (
                "select from t where a = $1 and 5 >= b and c between 1 and $2",
                "t: Range b <= 5, Range c >= 1, Range c <= $2, Equality a = $1",
            ),
            (
                "select from t where a in (1, 2) and b = any ($1) and c not in (3) and id <> 4",
                "t: Membership a = ANY ('{1,2}'::integer[]), Membership b = ANY ($1)",
            ),
            (
                "select from t where flag and not done and c is null and b is not null",
                "t: Equality flag, Equality (NOT done), Equality c IS NULL",
            ),
            ("select from t where flag is true and done is not true", "t: Equality (flag IS TRUE)"),
            ("select from t where not (a <> 5) and not (b = 1 or c < 2)", "t: Range c >= 2, Equality a = 5"),
            ("select from t where (a, b) > ($1, $2)", "t: Range a > $1"),
            ("select from t where a = b and b = 3", "t: Equality a = 3, Equality b = 3"),
            ("select from t where a = b + 1 and b + c = 5", "t: Equality (b + c) = 5"),
            (
                "select from t where lower(name) = $1 and name::text like 'x%' and name like '%x%' and name like $2",
                "t: Prefix name ~~ 'x%'::text, Other name ~~ '%x%'::text, Prefix name ~~ $2, Equality lower((name)::text) = $1",
            ),
            (
                "select from t where starts_with(name, 'ab') and name ^@ $1 and name ~ '^ab' and name like '%' || $2",
                "t: Prefix name ^@ 'ab'::text, Prefix name ^@ $1, Prefix name ~ '^ab'::text, Other name ~~ ('%'::text || $2)",
            ),
            (
                "select from t where date_trunc('day', created) = $1 and created > now() - interval '1 day'",
                "t: Range created > (now() - '1 day'::interval)",
            ),
            (
                "select from t where (created at time zone 'UTC')::date = $1 and a = random()",
                "t: Equality ((created AT TIME ZONE 'UTC'::text))::date = $1",
            ),
            ("select from t where code = 'x' and state = $1", "t: Equality code = 'x'::text, Equality state = $1"),
            (
                "select from t where a = 7 and (b = 1 or c < 2)",
                "t: Equality a = 7; t: Equality b = 1, Equality a = 7; t: Range c < 2, Equality a = 7",
            ),
            (
                "select from t where (a = 1 and b = 2) or c = 3",
                "t:; t: Equality a = 1, Equality b = 2; t: Equality c = 3",
            ),
            ("select from t where a = 1 or a = $1 or a = 3", "t:; t: Equality a = 1"),
            ("select from t where a = 1 or a <> b", "t:"),
            (
                "select from t join u on u.t_id = t.id where u.x = 5",
                "t: Join u id = u.t_id; u: Equality x = 5, Join t t_id = t.id",
            ),
            (
                "select from t left join u on u.t_id = t.id and u.x = 5 and t.b = 1 where t.a = 3",
                "t: Equality a = 3, Join u id = u.t_id; u: Equality x = 5, Join t t_id = t.id",
            ),
            (
                "select from t left join u on u.t_id = t.id where u.x is null",
                "t: Join u id = u.t_id; u: Join t t_id = t.id",
            ),
            (
                "select from t left join u on u.t_id = t.id where u.x = 3",
                "t: Join u id = u.t_id; u: Equality x = 3, Join t t_id = t.id",
            ),
            ("select from t full join u using (id) where id = 3", "t: Equality id = 3; u: Equality id = 3"),
            ("select from t, u where t.id = u.t_id and u.t_id = $1", "t: Equality id = $1; u: Equality t_id = $1"),
            (
                "select from t, u where t.a < u.x and t.id = u.t_id + 1",
                "t: Range a < u.x, Join u id = (u.t_id + 1); u: Range x > t.a, Join t (t_id + 1) = t.id",
            ),
            (
                "select from t x, t y, u where x.id = y.id and y.id = u.id",
                "t: Join t id = t.id, Join u id = u.id; u: Join t id = t.id",
            ),
            (
                "select from t where exists (select from u where u.t_id = t.id and u.x > 4)",
                "t: Join u id = u.t_id; u: Range x > 4, Join t t_id = t.id",
            ),
            (
                "select from t where not exists (select from u where u.t_id = t.id)",
                "t: Join u id = u.t_id; u: Join t t_id = t.id",
            ),
            (
                "select from t where id in (select t_id from u where x = $1)",
                "t: Join u id = u.t_id; u: Equality x = $1, Join t t_id = t.id",
            ),
            ("select from t where id not in (select t_id from u where x = $1)", "u: Equality x = $1; t:"),
            ("select (select sum(x) from u where u.t_id = t.id) from t", "u: Join t t_id = t.id; t:"),
            (
                "select from t where a = (select max(x) from u) or exists (select from u where t_id = t.id)",
                "u:; u:; u: Join t t_id = t.id; u:; t:",
            ),
            ("select from u, lateral (select * from t where t.a = u.x order by b limit 1) l", "t: Join u a = u.x; u:"),
            ("with m as (select * from t where b = 1) select from m where a = 2", "t: Equality b = 1, Equality a = 2"),
            ("with m as materialized (select * from t where b = 1) select from m where a = 2", "t: Equality b = 1"),
            (
                "with recursive r as (select id, a from t where id = 7 union all select t.id, t.a from t join r on t.a = r.id) select from r",
                "t: Equality id = 7; t: Equality a = r.id",
            ),
            (
                "select a from t where b = 1 union select x from u where id = 2 except select 3",
                "t: Equality b = 1; u: Equality id = 2",
            ),
            (
                "select from (select a, b from t union all select x, x from u) w where a = $1",
                "t: Equality a = $1; u: Equality x = $1",
            ),
            (
                "select from (select a, row_number() over (partition by a) n from t) w where a = 3 and n = 1",
                "t: Equality a = 3",
            ),
            ("select count(*) from t group by a having a > 3", "t: Range a > 3"),
            ("select from v where x = $1", "u: Equality x = $1, Join t id = t.id; t: Equality b = 4, Join u id = u.id"),
            ("select from sums where t_id = $1", "u: Equality t_id = $1"),
            ("select from parts where region = $1 and at >= $2", "parts: Range at >= $2, Equality region = $1"),
            ("select from parts_x where at = $1", "parts_x: Equality at = $1"),
            ("select from parent where a = 1", "parent: Equality a = 1; child: Equality a = 1"),
            (
                "select from docs where data @> $1 and data ? 'k' and data->>'kind' = $2 and 'a' = any (tags)",
                "docs: Other data @> $1, Other data ? 'k'::text, Equality (data ->> 'kind'::text) = $2",
            ),
            (
                "select from docs where tags && $1 and body @@ to_tsquery('english', $2) and during && $3",
                "docs: Other tags && $1, Other body @@ to_tsquery('english'::regconfig, $2), Other during && $3",
            ),
            (
                "select from docs where to_tsvector('english', title) @@ to_tsquery('english', 'x')",
                "docs: Other to_tsvector('english'::regconfig, title) @@ '''x'''::tsquery",
            ),
            (
                "select from docs where title ilike '%x%' and title % 'bar' and letters like 'a%'",
                "docs: Other title ~~* '%x%'::text, Other title % 'bar'::text, Prefix letters ~~ 'a%'::text",
            ),
            ("select from docs where embedding <-> $1 < 5", "docs:"),
            ("select from t where id = 4 and false", ""),
            ("select from pg_class where relname = 'x'", ""),
            ("select from t tablesample system (10) where a = 1", ""),
        ];
        expect(&cases, printed_conditions);
    }

    #[pg_test]
    fn orders_are_those_that_a_table_alone_delivers() {
        run(SHAPE_SCHEMA);
        let cases = [
            ("select from t order by a, b desc, c nulls first", "t (#2, #3 desc, #4 nulls moved)"),
            ("select from t where a = 1 order by a, b", "t (#3)"),
            ("select from t order by lower(name), random()", "t (lower((name)::text))"),
            (r#"select from t where a > 3 order by name collate "C" limit 10"#, "t (#5)"),
            ("select from t join u on u.t_id = t.id order by t.a, u.x, t.b", "t (#2); u"),
            ("select distinct a, b from t", "t any (#2, #3)"),
            ("select distinct on (a) b from t order by a, b desc", "t (#2, #3 desc) any (#2)"),
            ("select a, count(*) from t group by a, b order by count(*)", "t any (#2, #3)"),
            ("select count(distinct b) from t", "t (#3)"),
            ("select a, array_agg(b order by c) from t group by a", "t any (#2) (#2, #4)"),
            ("select rank() over (partition by a order by b desc) from t", "t (#2, #3 desc)"),
            ("select max(b) from t where a = 2", "t (#3 desc); t"),
            ("select min(a), max(b) from t", "t (#2); t"),
            ("select a from t union select x from u", "t any (#2); u any (#3)"),
            ("select from (select a from t union all select x from u) w order by a limit 3", "t (#2); u (#3)"),
            ("select from t where exists (select from u where u.t_id = t.id)", "t; u"),
            ("select from (select * from t order by b limit 5) w, u", "t (#3); u"),
            ("select from docs order by embedding <=> $1 limit 10", "docs (#8)"),
            ("select from docs order by place <-> point(1, 2), id", "docs (#7)"),
            ("select from docs order by 1 - (embedding <=> $1) desc", "docs"),
            ("select from docs order by embedding <=> $1 desc", "docs"),
        ];
        expect(&cases, printed_orders);
    }

    #[pg_test]
    fn operator_classes_come_from_the_catalogs() {
        run(SHAPE_SCHEMA);
        let cases = [
            ("select from t where a = 1", "btree, hash, brin, brin int4_minmax_multi_ops, brin int4_bloom_ops"),
            ("select from t where a < 1", "btree, brin, brin int4_minmax_multi_ops"),
            ("select from t where a is null", "btree"),
            ("select from t where flag", "btree, hash"),
            ("select from t where state = 'new'", "btree, hash"),
            (
                "select from t where name = 'x'",
                "btree, hash, spgist, brin, btree text_pattern_ops, hash text_pattern_ops, gist public.gist_trgm_ops, gin public.gin_trgm_ops, brin text_bloom_ops",
            ),
            ("select from t where code < 'x'", "btree, spgist, brin"),
            (
                r#"select from t where name = 'x' collate "C""#,
                r#"btree collate "C", hash collate "C", spgist collate "C", brin collate "C", btree collate "C" text_pattern_ops, hash collate "C" text_pattern_ops, gist collate "C" public.gist_trgm_ops, gin collate "C" public.gin_trgm_ops, brin collate "C" text_bloom_ops"#,
            ),
            (
                "select from t where name like 'x%'",
                "btree text_pattern_ops, gist public.gist_trgm_ops, gin public.gin_trgm_ops",
            ),
            ("select from t where name like '%x%'", "gist public.gist_trgm_ops, gin public.gin_trgm_ops"),
            ("select from docs where letters like 'x%'", "btree bpchar_pattern_ops"),
            (
                r#"select from docs where title collate "C" like 'x%'"#,
                r#"btree text_pattern_ops, gist collate "C" public.gist_trgm_ops, gin collate "C" public.gin_trgm_ops"#,
            ),
            ("select from docs where data @> '{}'", "gin, gin jsonb_path_ops"),
            ("select from docs where data = '{}'", "btree, hash"),
            ("select from docs where data @@ '$.a == 1'", "gin, gin jsonb_path_ops"),
            ("select from docs where tags && '{a}'", "gin"),
            ("select from docs where tags = '{a}'", "btree, hash, gin"),
            ("select from docs where body @@ 'a'", "gist, gin"),
            ("select from docs where during @> now()", "gist, spgist, brin"),
            ("select from docs where place <@ box '(0,0),(1,1)'", "gist, spgist, spgist kd_point_ops"),
            ("select from docs where title % 'x'", "gist public.gist_trgm_ops, gin public.gin_trgm_ops"),
            ("select from docs order by title <-> 'x'", "gist public.gist_trgm_ops"),
            ("select from docs order by place <-> point(1, 2)", "gist, spgist, spgist kd_point_ops"),
            (
                "select from docs order by '[1,2,3]' <=> embedding",
                "hnsw public.vector_cosine_ops, ivfflat public.vector_cosine_ops",
            ),
            ("select from docs order by embedding <#> $1", "hnsw public.vector_ip_ops, ivfflat public.vector_ip_ops"),
            (r#"select from t order by name collate "C""#, r#"btree collate "C""#),
        ];
        expect(&cases, printed_ways);
    }

    #[pg_test]
    fn columns_and_predicates_are_those_of_the_scan() {
        run(SHAPE_SCHEMA);
        let cases = [
            ("select a from t where b = 1 order by c", "t [2, 3, 4] where (b = 1)"),
            ("select count(*) from t", "t []"),
            ("select * from u where x = 3", "u [1, 2, 3] where (x = 3)"),
            ("select u from u", "u [] whole rows"),
            ("select id from u where x = 3 for update", "u [1, 3] where (x = 3)"),
            ("select ctid from u", "u [] whole rows"),
            ("select t.a from t join u using (id) where u.x = $1", "t [1, 2]; u [1, 3]"),
            ("select x from v", "u [1, 3]; t [1, 3] where (b = 4)"),
            (
                "select 1 from t where done and not flag and b is not null and a <> $1 and created > now() and a in (1, 2) and lower(name) = 'x'",
                "t [2, 3, 5, 6, 7, 8] where done where (NOT flag) where (b IS NOT NULL) where (a = ANY ('{1,2}'::integer[])) where (lower((name)::text) = 'x'::text)",
            ),
            (
                "select 1 from t where state = 'new' or c = 1",
                "t [4, 10] where ((state = 'new'::s.state) OR (c = 1)); t [4, 10] where ((state = 'new'::s.state) OR (c = 1)); t [4, 10] where ((state = 'new'::s.state) OR (c = 1))",
            ),
        ];
        expect(&cases, printed_columns);
    }

    #[pg_test]
    fn parameters_are_known_by_what_they_are_compared_with() {
        run(SHAPE_SCHEMA);
        let cases = [
            ("select $1::int from t where a = $2 limit $3 offset $4", "$1 Other, $2 Equal t#2, $3 Limit, $4 Offset"),
            (
                "select from t where a >= $1 and b < $2 and $3 < c",
                "$1 LowerBound t#2, $2 UpperBound t#3, $3 LowerBound t#4",
            ),
            ("select from t where a between $1 and $2", "$1 LowerBound t#2, $2 UpperBound t#2"),
            ("select from t where id = any ($1) and a in ($2, $3)", "$1 Equal t#1, $2 Equal t#2, $3 Equal t#2"),
            (
                "select from t where id = $1::int and name = $2 and lower(name) = $3",
                "$1 Equal t#1, $2 Equal t#5, $3 Equal",
            ),
            ("select from t where created > now() - $1::interval and name like $2", "$1 Other, $2 Other t#5"),
            ("select from t where $1::int is null or a = $1", "$1 Equal t#2"),
            ("select from t join u on t.id = u.t_id where u.t_id = $1", "$1 Equal t#1"),
            ("select from t where (a, b) > ($1, $2)", "$1 LowerBound t#2, $2 LowerBound t#3"),
            ("select from docs where data @> $1 and data->>'k' = $2", "$1 Other docs#2, $2 Equal"),
            ("select from t where exists (select from u where x = $1 limit $2)", "$1 Equal u#3, $2 Limit"),
        ];
        expect(&cases, printed_parameters);
    }

    #[pg_test]
    fn a_shape_has_what_row_security_adds() {
        run(SHAPE_SCHEMA);
        run("set local role reader");
        let conditions = |sql| printed_conditions(&shape(sql));
        assert_eq!(conditions("select from owned"), "owned: Equality owner = CURRENT_USER");
        let guarded = "owned: Range amount > 3, Range amount < 5";
        assert_eq!(conditions("select from guarded where amount < 5"), guarded);
    }

    #[pg_test]
    fn a_shape_is_of_its_query_alone() {
        run(SHAPE_SCHEMA);
        run(
            "create function f(int) returns int immutable language plpgsql as 'begin return count(*) from u where x = 1; end'",
        );
        assert_eq!(printed_conditions(&shape("select from t where a = f(3)")), "t: Equality a = 0");
        assert!(guarded(|| shape("select from t where a = 1 / 0")).is_err());
        run(
            "create function s.lowest(text) returns text immutable language sql as 'select min(x) from regexp_split_to_table($1, $$,$$) x'",
        );
        let expected = "t: Equality s.lowest((name)::text) = 'x'::text";
        assert_eq!(printed_conditions(&shape("select from t where lowest(name) = 'x'")), expected);
        assert_eq!(printed_conditions(&shape("select from t where a = 2")), "t: Equality a = 2");
    }

    #[pg_test]
    fn parameters_get_values_that_their_columns_have() {
        run(SHAPE_SCHEMA);
        run("
            create table r as
                select i as id, case when i % 10 = 0 then 'some' else 'much' end as status, date '2020-01-01' + i as day
                from generate_series(1, 10000) i;
            analyze r;
            create table hidden as table r;
            analyze hidden");
        let values = |sql| {
            let query = Query::analyze("query", sql);
            let parameters = query.shape().parameters;
            let sets = representative(&parameters, parameters.len(), 3);
            let printed = sets.iter().map(|set| {
                let printed = set.iter().map(|value| match value {
                    Value::Text(text) => text.as_str(),
                    _ => "?",
                });
                printed.collect::<Vec<_>>().join(" ")
            });
            printed.collect::<Vec<_>>().join(", ")
        };
        let cases = [
            ("select from r where id = $1", "5000, 2500, 7500"),
            ("select from r where id = $1::bigint and status = $2", "5000 much, 2500 much, 7500 some"),
            ("select from r where id < $1 limit $2", "1000 10, 5000 100, 100 1"),
            (
                "select from r where day >= $1 and day < $2",
                "2044-08-22 2047-05-19, 2033-09-09 2047-05-19, 2047-02-08 2047-05-19",
            ),
            ("select from r where id in ($1, $2)", "5000 2500, 2500 7500, 7500 8500"),
            ("select from r where status = any ($1)", r#"{"much","some"}, {"some","much"}"#),
            ("select from r where status like $1 and id + 1 = $2", ""),
            ("select from r where day::text = $1 and id = $2", "? 5000, ? 2500, ? 7500"),
            ("select from t where id = $1 limit $2", "? 10, ? 100, ? 1"),
            ("select from t where id = $1", ""),
        ];
        for (sql, expected) in cases {
            assert_eq!(values(sql), expected, "{sql}");
        }
        // Where row security applies to the caller, he sees no statistics.
        run("
            grant select on r, hidden to reader;
            alter table hidden enable row level security;
            create policy all_rows on hidden using (true);
            set local role reader");
        assert_eq!(values("select from r, hidden h where r.id = $1 and h.day = $2"), "5000 ?, 2500 ?, 7500 ?");
    }

    #[pg_test]
    fn large_queries_have_shapes() {
        run(SHAPE_SCHEMA);
        let repeated = |times: usize, separator: &str, text: fn(usize) -> String| {
            (0..times).map(text).collect::<Vec<_>>().join(separator)
        };
        let arms = shape(&repeated(300, " union all ", |n| format!("select a from t where b = {n}")));
        assert_eq!(arms.references.len(), 300);
        let or = repeated(10_000, " or ", |n| format!("(a = {n} and b > {n})"));
        assert_eq!(
            printed_conditions(&shape(&format!("select from t where {or}"))),
            "t:; t: Equality a = 0, Range b > 0"
        );
        let list = shape(&format!("select from t where a in ({})", repeated(100_000, ", ", |n| n.to_string())));
        assert!(list.references[0].conditions[0].text.len() < 400);
    }
}
