use crate::advice::statements::MIN_ROWS;
use crate::facts::query::WriteKind;
use crate::facts::statement_tree::{Kind, Target};
use crate::facts::{Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "select_star",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The output of the query, or what an INSERT … SELECT inserts, is written as * of a table with at least min_rows rows.",
    effect: "Columns that are added later are read, detoasted and sent by every call; no index-only scan can serve the query; and \
             an INSERT … SELECT breaks, or puts values into the wrong columns.",
    workaround: "Name the columns that are needed.",
    sources: &[
        "https://www.postgresql.org/docs/17/queries-select-lists.html",
        "https://www.postgresql.org/docs/17/indexes-index-only-scans.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a query",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select t.* from t where id = $1' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an INSERT … SELECT",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; create \
                    table archive (like t); analyze t, archive; create table example as select 'insert into archive select * from \
                    t where a < 5' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "columns by name; a star that nobody reads",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select id, a * 2 as b from t where exists (select * from t u where \
                    u.a = t.id)' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "of a WITH query, of a small table",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; create \
                    table u (id int); analyze t, u; create table example as select 'with w as (select id from t) select w.*, u.* \
                    from w, u' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_rows = options.number("min_rows") as u64;
    let inserts = statement.write.as_ref().map(|write| write.kind == WriteKind::Insert);
    let Some(query) = statement.query.as_ref().filter(|_| inserts.unwrap_or(true)) else { return Ok(Vec::new()) };
    let table_of = |target: &Target| -> Option<&Table> {
        match &target.expression.kind {
            Kind::Column(column) if target.star => query.table(catalog, column.item),
            _ => None,
        }
    };
    let tables: BTreeSet<u32> = query.targets.iter().filter_map(table_of).map(|table| table.oid).collect();
    let large = tables.into_iter().map(|oid| catalog.table(oid)).filter_map(|table| {
        let rows = catalog.rows(table).filter(|rows| rows.0 >= min_rows)?;
        Some((table, rows))
    });
    let findings = large.map(|(table, rows)| {
        let names: Vec<String> = table.columns.iter().map(|column| column.name.to_string()).collect();
        let star = query.targets.iter().find(|target| table_of(target).is_some_and(|of| of.oid == table.oid));
        let location = star.and_then(|target| target.expression.location);
        let what = if inserts.is_some() { "INSERT … SELECT takes" } else { "The query reads" };
        Finding {
            severity: RULE.severity,
            object: statement.object(&table.name.to_string()),
            weight: catalog.bytes(table).0,
            summary: format!("{what} * of {}: {} columns today", table.name, names.len()),
            cause: format!(
                "* stands for all {} columns of {}, and for those that are added to it later.",
                names.len(),
                table.name
            ),
            evidence: object! {
                "query": statement.excerpt(location),
                "position": statement.position(location),
                "table": table.name.to_string(),
                "table_rows": rows,
                "columns": names,
            },
            app_fix: Some(format!(
                "Name what is needed of: {}. In SQLAlchemy: load_only(…), or select(<columns>).",
                names.join(", ")
            )),
            ..Finding::that_changes_nothing()
        }
    });
    Ok(findings.collect())
}
