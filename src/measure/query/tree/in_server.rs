//! Trees of statements, in a server.

#[pgrx::pg_schema]
mod tests {
    use crate::facts::statement_tree::*;
    use crate::measure::query::Query;
    use pgrx::prelude::*;

    const SCHEMA: &str = "
        create schema s;
        set search_path = s;
        create table t (id int primary key, a int, name varchar(20), flag boolean, at timestamptz);
        create table u (id int primary key, t_id int, x numeric);
        create table parent (a int);
        create table child () inherits (parent);
        create view v as select id from t;
        create function wild() returns int language sql volatile as 'select 1'";

    fn query(sql: &str) -> Select {
        Query::analyze("query", sql).statement().query.expect("it reads")
    }

    fn list(parts: &[Expression]) -> String {
        parts.iter().map(print).collect::<Vec<_>>().join(", ")
    }

    fn call(call: &Call) -> String {
        let set = if call.returns_set { " set" } else { "" };
        let filter = call.filter.as_ref().map(|filter| format!(" filter {}", print(filter))).unwrap_or_default();
        format!("{}({}){filter}{set}", call.name, list(&call.arguments))
    }

    fn print(expression: &Expression) -> String {
        match &expression.kind {
            Kind::Column(column) => format!("{}{}.{}", "^".repeat(column.level), column.item, column.name),
            Kind::Name => "name".to_string(),
            Kind::Constant(text) => text.clone().map_or("null".to_string(), |text| format!("'{text}'")),
            Kind::Parameter(number) => format!("${number}"),
            Kind::Output => "output".to_string(),
            Kind::Operator(operator) => format!("({} {})", operator.name, list(&operator.arguments)),
            Kind::Distinct(operator) => format!("(distinct {})", list(&operator.arguments)),
            Kind::Function(function) => call(function),
            Kind::Aggregate(aggregate) => format!("agg {}", call(aggregate)),
            Kind::Window(window) => format!("window {}", call(window)),
            Kind::Cast(cast) => {
                let how = if cast.implicit { "implicit" } else { "cast" };
                format!("{how}{}({})", if cast.relabels { " relabel" } else { "" }, print(&cast.argument))
            }
            Kind::And(parts) => format!("and[{}]", list(parts)),
            Kind::Or(parts) => format!("or[{}]", list(parts)),
            Kind::Not(part) => format!("not {}", print(part)),
            Kind::IsNull { argument, negated } => {
                format!("{} is {}null", print(argument), if *negated { "not " } else { "" })
            }
            Kind::AnyArray { operator, all, left, array } => {
                format!("({} {} {} {})", print(left), operator.name, if *all { "all" } else { "any" }, print(array))
            }
            Kind::Array(parts) => format!("array[{}]", list(parts)),
            Kind::SubLink(link) => {
                let test = link.test.as_ref().map(|test| format!(" {}", print(test))).unwrap_or_default();
                let correlated = if link.correlated { " correlated" } else { "" };
                format!("{:?}{correlated}{test} <{}>", link.kind, select(&link.query))
            }
            Kind::Case(parts) => format!("case[{}]", list(parts)),
            Kind::Coalesce(parts) => format!("coalesce[{}]", list(parts)),
            Kind::Row(parts) => format!("row[{}]", list(parts)),
            Kind::Other(parts) => format!("other[{}]", list(parts)),
        }
    }

    fn from(from: &From, items: &[Item]) -> String {
        match from {
            From::Item(item) => match &items[*item].kind {
                ItemKind::Subquery(query) => format!("{item}<{}>", select(query)),
                ItemKind::Function { calls, returns_set } => {
                    format!("{item}{{{}{}}}", list(calls), if *returns_set { "" } else { " one row" })
                }
                ItemKind::Values { rows } => format!("{item}values({} rows)", rows.len()),
                ItemKind::With { level, position } => format!("{item}with({level}, {position:?})"),
                ItemKind::Relation { inherited, .. } => {
                    format!("{item}{}{}", items[*item].name, if *inherited { "!" } else { "" })
                }
                other => format!("{item}{other:?}"),
            },
            From::Join { kind, left, right, condition } => {
                let on = condition.as_ref().map(|condition| format!(" on {}", print(condition))).unwrap_or_default();
                format!("({} {kind:?} {}{on})", self::from(left, items), self::from(right, items))
            }
        }
    }

    fn keys(name: &str, keys: &[SortKey]) -> String {
        let print_key =
            |key: &SortKey| format!("{}{}", print(&key.expression), if key.descending { " desc" } else { "" });
        if keys.is_empty() {
            String::new()
        } else {
            format!(" {name} {}", keys.iter().map(print_key).collect::<Vec<_>>().join(", "))
        }
    }

    fn part(part: &SetPart, items: &[Item]) -> String {
        match part {
            SetPart::Arm(item) => from(&From::Item(*item), items),
            SetPart::Operation(operation) => {
                let all = if operation.all { " all" } else { "" };
                format!(
                    "({} {:?}{all} {})",
                    part_of(&operation.left, items),
                    operation.kind,
                    part_of(&operation.right, items)
                )
            }
        }
    }
    use part as part_of;

    fn select(query: &Select) -> String {
        let mut text = String::new();
        for with in &query.with {
            let writes = if with.writes { " writes" } else { "" };
            text += &format!("with{writes} <{}> ", select(&with.query));
        }
        let target = |target: &Target| format!("{}{}", if target.star { "*" } else { "" }, print(&target.expression));
        text += &query.targets.iter().map(target).collect::<Vec<_>>().join(", ");
        if let Some(operation) = &query.set_operation {
            text += &format!(" of {}", part(&SetPart::Operation(operation.clone()), &query.items));
        }
        for item in &query.from {
            text += &format!(" from {}", from(item, &query.items));
        }
        let mut clause = |name: &str, expression: &Option<Expression>| {
            if let Some(expression) = expression {
                text += &format!(" {name} {}", print(expression));
            }
        };
        clause("where", &query.condition);
        clause("having", &query.having);
        clause("limit", &query.limit);
        clause("offset", &query.offset);
        if !query.group_by.is_empty() {
            text += &format!(" group by {}", list(&query.group_by));
        }
        match &query.distinct {
            Distinct::No => {}
            Distinct::All => text += " distinct",
            Distinct::On(keys) => text += &format!(" distinct on {}", list(keys)),
        }
        for window in &query.windows {
            text += &format!(" window by {}{}", list(&window.partition_by), keys("order", &window.order_by));
        }
        text += &keys("order", &query.order_by);
        for lock in &query.locks {
            text += &format!(" {:?} {:?} {:?}", lock.strength, lock.wait, lock.of);
        }
        text
    }

    fn expect(cases: &[(&str, &str)]) {
        Spi::run(SCHEMA).unwrap();
        for (sql, expected) in cases {
            assert_eq!(select(&query(sql)), *expected, "{sql}");
        }
    }

    #[pg_test]
    fn trees_of_expressions() {
        expect(&[
            (
                "select a + 1 from t where name = 'x' and not flag",
                "(+ 0.a, '1') from 0t where and[(= implicit relabel(0.name), 'x'), not 0.flag]",
            ),
            (
                "select 1 from t where a in (1, $1) or a is not null",
                "'1' from 0t where or[(0.a = any array['1', $1]), 0.a is not null]",
            ),
            ("select 1 from t where a not in (1, 2)", "'1' from 0t where (0.a <> all array['1', '2'])"),
            ("select 1 from t where at::date = '2024-01-01'", "'1' from 0t where (= cast(0.at), '2024-01-01')"),
            (
                "select 1 from t where a::text = '1' and a is distinct from 2",
                "'1' from 0t where and[(= cast(0.a), '1'), (distinct 0.a, '2')]",
            ),
            (
                "select coalesce(a, 0), case when flag then 1 else a end, row(a, 1), array[a] from t",
                "coalesce[0.a, '0'], case[0.flag, '1', 0.a], row[0.a, '1'], array[0.a] from 0t",
            ),
            (
                "select now(), current_date, wild(), lower(name) from t",
                "now(), current_date(), wild(), lower(implicit relabel(0.name)) from 0t",
            ),
            (
                "select (select max(x) from u where t_id = t.id) from t",
                "Scalar correlated <agg max(0.x) from 0u where (= 0.t_id, ^0.id)> from 0t",
            ),
            (
                "select 1 from t where a in (select t_id from u)",
                "'1' from 0t where Any (= 0.a, output) <0.t_id from 0u>",
            ),
            (
                "select 1 from t where a not in (select t_id from u)",
                "'1' from 0t where not Any (= 0.a, output) <0.t_id from 0u>",
            ),
            (
                "select 1 from t where exists (select from u where u.t_id = t.id)",
                "'1' from 0t where Exists correlated < from 0u where (= 0.t_id, ^0.id)>",
            ),
            (
                "select count(*), count(distinct a) filter (where flag), sum(a) over (partition by name order by at desc) from t group by a, name, at",
                "agg count(), agg count(0.a) filter 0.flag, window sum(0.a) from 0t group by 0.a, 0.name, 0.at window by 0.name order 0.at desc",
            ),
            ("select t, t.ctid, t.* from t", "0., 0., *0.id, *0.a, *0.name, *0.flag, *0.at from 0t"),
            ("select generate_series(1, a), null::int from t", "generate_series('1', 0.a) set, null from 0t"),
        ]);
    }

    #[pg_test]
    fn trees_of_queries() {
        expect(&[
            (
                "select * from t order by a desc nulls last, id limit 10 offset $1",
                "*0.id, *0.a, *0.name, *0.flag, *0.at from 0t limit implicit('10') offset $1 order 0.a desc, 0.id",
            ),
            ("select \"t\" . * from t, u", "*0.id, *0.a, *0.name, *0.flag, *0.at from 0t from 1u"),
            (
                "select t.id from t left join u on u.t_id = t.id and x > 1",
                "0.id from (0t Left 1u on and[(= 1.t_id, 0.id), (> 1.x, implicit('1'))])",
            ),
            ("select id, x from t join u using (id)", "0.id, 1.x from (0t Inner 1u on (= 0.id, 1.id))"),
            ("select id from t full join u using (id)", "coalesce[0.id, 1.id] from (0t Full 1u on (= 0.id, 1.id))"),
            ("select v.id, p.a from v cross join parent p", "0.id, 1.a from (0v Inner 1p!)"),
            (
                "with w as (select id from t) select 1 from w a, w b where a.id in (select id from w)",
                "with <0.id from 0t> '1' from 0with(0, Some(0)) from 1with(0, Some(0)) where Any (= 0.id, output) <0.id from 0with(1, Some(0))>",
            ),
            (
                "with d as (delete from t where a = 1 returning id) select * from d",
                "with writes <0.id from 0t where (= 0.a, '1')> *0.id from 0with(0, Some(0))",
            ),
            (
                "select a from t union all select x from u union select 1 order by 1",
                "0.a of ((0<0.a from 0t> Union all 1<0.x from 0u>) Union 2<'1'>) order 0.a",
            ),
            ("select distinct on (a) a, id from t order by a, id", "0.a, 0.id from 0t distinct on 0.a order 0.a, 0.id"),
            (
                "select 1 from generate_series(1, 2) g, lower('A') l, (values (1), (2)) q (z)",
                "'1' from 0{generate_series('1', '2') set} from 1{lower('A') one row} from 2<0.column1 from 0values(2 rows)>",
            ),
            (
                "select l.m from t, lateral (select max(x) m from u where u.t_id = t.id) l",
                "1.m from 0t from 1<agg max(0.x) from 0u where (= 0.t_id, ^0.id)>",
            ),
        ]);
    }

    #[pg_test]
    fn locks_belong_to_their_query() {
        expect(&[
            ("select id from t for update", "0.id from 0t Update Waits []"),
            (
                "select * from t, u for share of u nowait",
                "*0.id, *0.a, *0.name, *0.flag, *0.at, *1.id, *1.t_id, *1.x from 0t from 1u Share NoWait [\"u\"]",
            ),
            (
                "update t set a = 1 where id in (select t_id from u limit 1 for no key update skip locked)",
                " from 0t where Any (= 0.id, output) <0.t_id from 0u limit implicit('1') NoKeyUpdate SkipLocked []>",
            ),
            (
                "with w as (select id from t for update) select id from w",
                "with <0.id from 0t Update Waits []> 0.id from 0with(0, Some(0))",
            ),
        ]);
    }

    #[pg_test]
    fn writes_are_told_beside_what_they_read() {
        Spi::run(SCHEMA).unwrap();
        let write = |sql: &str| {
            let statement = Query::analyze("query", sql).statement();
            let write = statement.write.expect("it writes");
            let flags =
                [(write.has_condition, "where"), (write.on_conflict, "conflict"), (write.returning, "returning")];
            let flags: Vec<_> = flags.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
            format!("{:?} {:?} {}", write.kind, write.columns, flags.join(" "))
        };
        assert_eq!(write("update t set a = 1, name = 'x'"), "Update [2, 3] ");
        assert_eq!(write("delete from t where a = 1 returning *"), "Delete [] where returning");
        assert_eq!(
            write("insert into t (id) values (1) on conflict (id) do update set flag = true"),
            "Insert [4] conflict"
        );
        assert_eq!(write("merge into t using u on t.id = u.id when matched then update set a = 1"), "Merge [2] where");
    }
}
