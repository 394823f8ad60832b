use crate::facts::Facts;
use crate::facts::cascade::Fate;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Bytes, Count};

pub static RULE: Rule = Rule {
    id: "truncate_empties_other_table",
    category: "schema",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "TRUNCATE CASCADE of a table removes all rows of another, which holds some.",
    effect: "All rows of the other table go, also those that reference nothing, whatever ON DELETE says: RESTRICT does not protect them. \
             Row-level triggers do not fire. Only a backup brings them back.",
    workaround: "TRUNCATE without CASCADE, naming the tables that are meant; or DELETE, which honors ON DELETE.",
    sources: &["https://www.postgresql.org/docs/17/sql-truncate.html"],
    options: &[],
    needs: &[Need::Cascade],
    cases: &[
        Case {
            name: "a child of a child that restricts",
            setup: "create table a (id int primary key); create table b (id int primary key, a_id int references a on delete restrict); \
                    create table c (b_id int references b on delete set null); create table empty (a_id int references a); insert into b \
                    values (1, null); insert into c values (null); analyze; create table example as select 'a' as relation, 'truncate' \
                    as action",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "a delete does not",
            setup: "create table a (id int primary key); create table b (id int primary key, a_id int references a on delete restrict); \
                    insert into b values (1, null); analyze; create table example as select 'a' as relation, 'delete' as action",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let cascade = facts.cascade();
    let emptied = cascade.edges.iter().filter(|edge| edge.fate == Fate::Truncated && edge.child_rows != Some(0.0));
    let elsewhere = emptied.filter(|edge| !edge.cycle);
    let findings = elsewhere.map(|edge| {
        let rows = edge.child_rows.map_or("an unknown number of rows".to_string(), |rows| Count(rows as u64).of("row"));
        Finding {
            severity: Severity::high,
            object: edge.object(),
            weight: edge.child_bytes,
            summary: format!(
                "TRUNCATE {} CASCADE empties {}: {rows} in {}",
                cascade.top,
                edge.child,
                Bytes(edge.child_bytes)
            ),
            cause: format!(
                "TRUNCATE CASCADE goes through every foreign key ({}); ON DELETE {} of {} does not count.",
                edge.path.join(" → "),
                edge.on.sql(),
                crate::db::quote_identifier(&edge.constraint),
            ),
            evidence: object! {
                "path": edge.path,
                "constraint_name": edge.constraint,
                "child_rows": edge.child_rows,
                "child_bytes": edge.child_bytes,
                "basis": edge.basis,
            },
            ..Finding::that_changes_nothing()
        }
    });
    Ok(findings.collect())
}
