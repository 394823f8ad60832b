use crate::advice::plan_weight::{Explains, shown};
use crate::facts::{Explained, Facts};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::many_partitions_planned;
use crate::units::rounded;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "planning_longer_than_execution",
    category: "plan",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Planning took at least min_planning_ms and more than executing the plan. Of severity medium from slow_planning_ms on. \
                Planning that has many partitions to look at is many_partitions_planned's.",
    effect: "Each execution that is not of a prepared statement pays more for finding the plan than for what it does.",
    workaround: "Prepare the statement (drivers do after some executions; PgBouncer from 1.21 on lets them in transaction mode), join \
                 fewer tables at a time, drop indexes that nothing uses.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-prepare.html",
        "https://www.postgresql.org/docs/17/explicit-joins.html",
    ],
    options: &[
        OptionSpec::number(
            "min_planning_ms",
            (10.0, "ms"),
            (0.0, 3_600_000.0),
            "Planning that takes less is left alone.",
        ),
        OptionSpec::number(
            "slow_planning_ms",
            (50.0, "ms"),
            (0.0, 3_600_000.0),
            "From here on the finding is of severity medium.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "twelve tables joined to return nothing",
            setup: "do $$ begin for i in 1..11 loop execute format('create table t%s (id int primary key, a int, b int)', i); execute \
                    format('create index on t%s (a)', i); execute format('create index on t%s (b, a)', i); end loop; end $$; \
                    analyze; alter database :\"DBNAME\" set join_collapse_limit = 11; alter database :\"DBNAME\" set \
                    from_collapse_limit = 11; create table example as select 'select * from t1 join t2 using (id) join t3 using \
                    (id) join t4 using (id) join t5 using (id) join t6 using (id) join t7 using (id) join t8 using (id) join t9 \
                    using (id) join t10 using (id) join t11 using (id) where t1.a = 5' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a key lookup",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 1000) g; create \
                    table example as select 'select * from t where id = 7' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let (Some(planning), Some(execution)) = (plan.planning_ms, plan.execution_ms()) else { return Ok(Vec::new()) };
    if planning < options.number("min_planning_ms")
        || planning <= execution
        || many_partitions_planned::partitions(facts) > 0
    {
        return Ok(Vec::new());
    }
    let explains = Explains::by_planning(explained, planning);
    let tables: BTreeSet<u32> = explained.tables.iter().flatten().copied().collect();
    let indexes: usize =
        tables.iter().filter_map(|oid| facts.catalog().known(*oid)).map(|table| table.indexes.len()).sum();
    let relations = plan.nodes.iter().filter(|node| node.relation.is_some()).count();
    let read = plan.planning_blocks.map(|blocks| (blocks.shared_hit, blocks.shared_read));
    Ok(vec![Finding {
        severity: if planning >= options.number("slow_planning_ms") { Severity::medium } else { Severity::low },
        object: "planning".to_string(),
        weight: explains.weight(),
        summary: format!(
            "Planning took {} ms, executing {} ms",
            shown(planning),
            shown(execution),
        ),
        cause: cause(explained, relations, indexes, read),
        evidence: object! {
            "node": "planning",
            "share": rounded(explains.share),
            "basis": explains.basis.name(),
            "planning_ms": rounded(planning),
            "execution_ms": rounded(execution),
            "relations": relations,
            "indexes_of_its_tables": indexes,
            "planning_blocks_hit": read.map(|(hit, _)| hit),
            "planning_blocks_read": read.map(|(_, read)| read),
        },
        app_fix: Some(
            "Let the driver prepare it: psycopg prepares after 5 executions on a connection (prepare_threshold), asyncpg always; \
             behind PgBouncer in transaction mode set max_prepared_statements. After five executions the server may keep a generic \
             plan (plan_cache_mode)."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }])
}

/// Blocks of the catalogs that planning reads when its caches are cold.
const COLD_BLOCKS: f64 = 100.0;

fn cause(explained: &Explained, relations: usize, indexes: usize, read: Option<(f64, f64)>) -> String {
    let limit = explained.settings.get("join_collapse_limit").map_or("8", String::as_str);
    let joins = match relations {
        0..=5 => String::new(),
        _ => format!(
            " With {relations} tables to join, the orders to consider grow exponentially up to join_collapse_limit ({limit})."
        ),
    };
    let cold = match read {
        Some((hit, read)) if hit + read >= COLD_BLOCKS => format!(
            " It looked into {} blocks of the system catalogs: the first queries of a connection fill its caches, later ones plan \
             faster. Keep connections (a pool).",
            shown(hit + read)
        ),
        _ => String::new(),
    };
    format!(
        "The plan reads {relations} tables, and the planner weighs ways through {indexes} indexes of them.{joins}{cold} A prepared \
         statement is planned anew only until a generic plan is found as good."
    )
}
