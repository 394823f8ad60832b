use crate::advice::statements::{self, MIN_ROWS, large, rows_left};
use crate::facts::Facts;
use crate::facts::statement_tree::{Fixed, From, Kind};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "order_by_random",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "ORDER BY random() over a table of which, by the statistics, at least min_rows rows are left by equalities with \
                constants.",
    effect: "All rows are read, and each gets a random number to be sorted by, for the few that are shown.",
    workaround: "TABLESAMPLE SYSTEM_ROWS (extension tsm_system_rows) or BERNOULLI picks rows without reading and sorting all; for \
                 one row, look up the first key at or above a random one.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-select.html#SQL-FROM",
        "https://www.postgresql.org/docs/17/tsm-system-rows.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Statement],
    cases: &[
        Case {
            name: "some rows of a large table",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 3000 from generate_series(1, 12000) \
                    g; vacuum analyze; create table example as select 'select * from t order by random() limit 5' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a small table, and few rows of a large one",
            setup: "create table t (id int primary key, a int); create index on t (a); create table small (id int); insert into t \
                    select g, g % 3000 from generate_series(1, 12000) g; insert into small select generate_series(1, 50); vacuum \
                    analyze; create table example as select 'select * from (select 1 from small order by random()) s, (select 1 \
                    from t where a = 5 order by random()) u' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let min_rows = options.number("min_rows");
    let mut findings = Vec::new();
    for select in statement.selects() {
        let key = select.order_by.iter().find(|key| match &key.expression.kind {
            Kind::Function(call) => call.builtin && call.name == "random" && call.arguments.is_empty(),
            _ => false,
        });
        let Some(key) = key else { continue };
        let fixed = Fixed::of(select, catalog);
        let items = select.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item));
        let read = items.filter_map(|item| {
            let left = rows_left(select, catalog, facts.column_statistics(), item)?;
            large(select, catalog, item, min_rows).filter(|_| left >= min_rows)
        });
        let Some((table, rows)) = read.max_by_key(|(_, rows)| *rows) else { continue };
        let mut finding =
            statements::finding(statement, &format!("ORDER BY random() of {}", table.name), key.expression.location);
        finding.severity = RULE.severity;
        finding.weight = rows.0;
        finding.summary = format!("ORDER BY random() reads and sorts {} of {}", rows.of("row"), table.name);
        finding.cause =
            "No index has this order: every row is read and given a number, and only then can LIMIT stop.".to_string();
        finding.app_fix = Some(format!(
            "Where any sample will do: SELECT … FROM {} TABLESAMPLE SYSTEM (1) LIMIT …, or TABLESAMPLE SYSTEM_ROWS (n) of the \
             extension tsm_system_rows, which take neighbouring rows together. For one row: WHERE key >= a random key ORDER BY \
             key LIMIT 1.",
            table.name
        ));
        finding.evidence.append(&mut object! { "table": table.name.to_string(), "table_rows": rows });
        findings.push(finding);
    }
    Ok(findings)
}
