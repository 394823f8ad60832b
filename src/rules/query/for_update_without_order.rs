use crate::advice::statements::MIN_ROWS;
use crate::facts::statement_tree::{Expression, Fixed, From, Lock, LockStrength, LockWait, Select};
use crate::facts::{Catalog, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "for_update_without_order",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query locks rows of a table with at least min_rows rows (FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE), waits for \
                locks that others hold, may lock more than one row, as no unique key is compared for equality and LIMIT is not 1, and has no \
                ORDER BY.",
    effect: "Two sessions that lock the same rows in different orders wait for each other: a deadlock, which the server ends \
             after deadlock_timeout by an error in one of them.",
    workaround: "Sort by a unique key, so that everyone locks in one order; or SKIP LOCKED, where any rows will do.",
    sources: &[
        "https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-DEADLOCKS",
        "https://www.postgresql.org/docs/17/sql-select.html#SQL-FOR-UPDATE-SHARE",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "rows by a column that is not unique",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 100 from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'select id from t where a = $1 for update' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "in a WITH query, a list of keys",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 100 from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'with w as (select id from t where id = any ($1) for no key \
                    update) update t set a = 0 from w where w.id = t.id' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one row by its key, with others that are not locked",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 100 from generate_series(1, 20000) g; \
                    create table u (id int, t_id int); insert into u select g, g from generate_series(1, 20000) g; analyze t, u; \
                    create table example as select 'select t.id from t join u on u.t_id = t.id where t.id = $1 for update of t' \
                    as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "sorted, or one row by LIMIT",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 100 from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'with w as (select id from t limit 1 for update) select id from t where a = $1 order by id for update' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "does not wait",
            setup: "create table t (id int primary key, a int); insert into t select g, g % 100 from generate_series(1, 20000) g; \
                    analyze t; create table example as select 'delete from t where id in (select id from t where a = 1 limit 10 \
                    for update skip locked)' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a small table",
            setup: "create table t (id int primary key, a int); insert into t values (1, 1), (2, 1); analyze t; create table \
                    example as select 'select id from t where a = 1 for update' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_rows = options.number("min_rows") as u64;
    let mut findings = Vec::new();
    for (number, query) in statement.selects().into_iter().enumerate() {
        let locked = query.locks.iter().filter_map(|lock| Some((lock, several(query, catalog, lock)?)));
        let Some((lock, (table, rows))) = locked.max_by_key(|(_, (_, rows))| *rows) else { continue };
        if rows.0 < min_rows {
            continue;
        }
        let clause = clause(lock.strength);
        let place = if number == 0 { table.name.to_string() } else { format!("{}, subquery {number}", table.name) };
        findings.push(Finding {
            severity: RULE.severity,
            object: statement.object(&place),
            weight: rows.0,
            summary: format!("{clause} locks several rows of {} in no fixed order", table.name),
            cause: format!(
                "{clause} locks the rows of {} in the order in which the plan finds them: no unique key makes it one row, and \
                 there is no ORDER BY. Two sessions whose plans or scans differ may each wait for a row that the other has.",
                table.name
            ),
            evidence: object! {
                "query": statement.excerpt(None),
                "lock": clause,
                "table": table.name.to_string(),
                "table_rows": rows,
            },
            app_fix: Some(format!(
                "Sort by a unique key of {} before {clause}: .order_by(<key>).with_for_update(). For a queue: \
                 .with_for_update(skip_locked=True).",
                table.name
            )),
            ..Finding::that_changes_nothing()
        });
    }
    Ok(findings)
}

/// The largest table of which the lock may take several rows, in any order.
fn several<'a>(query: &Select, catalog: &'a Catalog, lock: &Lock) -> Option<(&'a Table, Count)> {
    if lock.wait != LockWait::Waits || lock.strength == LockStrength::KeyShare || !query.order_by.is_empty() {
        return None;
    }
    if query.limit.as_ref().and_then(Expression::number).is_some_and(|rows| rows <= 1.0) {
        return None;
    }
    let fixed = Fixed::of(query, catalog);
    let items = query.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item));
    let named = items.filter(|item| lock.of.is_empty() || lock.of.contains(&query.items[*item].name));
    let tables = named.filter_map(|item| {
        let table = query.table(catalog, item)?;
        Some((table, catalog.rows(table)?))
    });
    tables.max_by_key(|(_, rows)| *rows)
}

fn clause(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::Update => "FOR UPDATE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::KeyShare => "FOR KEY SHARE",
    }
}
