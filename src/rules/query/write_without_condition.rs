use crate::advice::statements::MIN_ROWS;
use crate::facts::Facts;
use crate::facts::query::WriteKind;
use crate::facts::statement_tree::{Expression, Kind, Volatility};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "write_without_condition",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "An UPDATE or DELETE of a table with at least min_rows rows has no WHERE, or one that names no column.",
    effect: "It writes every row: all are locked until the transaction ends, as many dead rows are left for vacuum, and if it was \
             not meant, the data is gone.",
    workaround: "Add the condition that was meant. If all rows are: in batches by primary key with a commit between them; to empty \
                 a table, TRUNCATE.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-update.html",
        "https://www.postgresql.org/docs/17/sql-truncate.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "DELETE",
            setup: "create table t (id int primary key); insert into t select generate_series(1, 20000); analyze t; create table \
                    example as select 'delete from t' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "UPDATE with a condition that is always true",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'update t set a = 0 where 1 = 1' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a condition",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'update t set a = 0 where a = 7' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a condition on a parameter and in a join",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'delete from t using (select 1 as id) u where t.id = u.id' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a small table",
            setup: "create table t (id int primary key); insert into t select generate_series(1, 10); analyze t; create table \
                    example as select 'delete from t' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let Some(write) = &statement.write else { return Ok(Vec::new()) };
    let verb = match write.kind {
        WriteKind::Update => "UPDATE",
        WriteKind::Delete => "DELETE",
        WriteKind::Insert | WriteKind::Merge => return Ok(Vec::new()),
    };
    let condition = statement.query.as_ref().and_then(|query| query.condition.as_ref());
    let no_condition = !write.has_condition || condition.is_some_and(is_always_the_same);
    let table = catalog.known(write.table).filter(|table| no_condition && table.is_maintained());
    let Some((table, rows)) = table.and_then(|table| Some((table, catalog.rows(table)?))) else {
        return Ok(Vec::new());
    };
    if (rows.0 as f64) < options.number("min_rows") {
        return Ok(Vec::new());
    }
    let bytes = catalog.bytes(table);
    let what = if write.has_condition { "a WHERE that no row decides" } else { "no WHERE" };
    Ok(vec![Finding {
        severity: RULE.severity,
        object: statement.object(&table.name.to_string()),
        weight: bytes.0,
        summary: format!("{verb} of all {} of {}", rows.of("row"), table.name),
        cause: format!("The statement has {what}, so it writes about {} in {bytes}.", Count(rows.0).of("row")),
        evidence: object! {
            "query": statement.excerpt(None),
            "table": table.name.to_string(),
            "table_rows": rows,
            "table_bytes": bytes,
            "has_where": write.has_condition,
        },
        app_fix: Some(match write.kind {
            WriteKind::Delete => "Add the condition that was meant; to empty the table: TRUNCATE.".to_string(),
            _ => "Add the condition that was meant; to change all rows: some thousand at a time by ranges of the primary key, \
                  each in a transaction of its own."
                .to_string(),
        }),
        ..Finding::that_changes_nothing()
    }])
}

/// `true`, `1 = 1`; not what a parameter or a subquery decides.
fn is_always_the_same(condition: &Expression) -> bool {
    condition.all().into_iter().all(|part| match &part.kind {
        Kind::Constant(text) => text.as_deref().is_some_and(|text| text != "f"),
        Kind::Operator(operator) => operator.volatility == Volatility::Immutable,
        Kind::And(_) | Kind::Or(_) | Kind::Cast(_) => true,
        _ => false,
    })
}
