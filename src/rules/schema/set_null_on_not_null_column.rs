use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "set_null_on_not_null_column",
    category: "schema",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A foreign key that a delete or an update of keys comes to has SET NULL as its action, and sets a column that is NOT NULL.",
    effect: "The statement on the parent fails as soon as a child exists, with an error about a NOT NULL constraint of another table.",
    workaround: "Decide what is meant: RESTRICT, if a parent with children has to stay; CASCADE, if they go with it; or drop NOT NULL.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK"],
    options: &[],
    needs: &[Need::Cascade],
    cases: &[
        Case {
            name: "one of two columns",
            setup: "create table a (x int, y int, primary key (x, y)); create table b (x int not null, y int, foreign key (x, y) references \
                    a on delete set null); create table c (x int not null, y int, foreign key (x, y) references a on delete set null \
                    (y)); create table example as select 'a' as relation, 'delete' as action",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an update does not go by ON DELETE",
            setup: "create table a (id int primary key); create table b (a_id int not null references a on delete set null); create table \
                    example as select 'a' as relation, 'update' as action",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let cascade = facts.cascade();
    let refused = cascade.edges.iter().filter(|edge| !edge.columns_not_null.is_empty());
    let findings = refused.map(|edge| Finding {
        severity: Severity::medium,
        object: edge.object(),
        weight: edge.child_bytes,
        summary: format!(
            "{} of {} fails once {} has a row for it: SET NULL of {}, which is NOT NULL",
            cascade.action.name(),
            edge.parent,
            edge.child,
            listing(&edge.columns_not_null),
        ),
        cause: format!(
            "Foreign key {} sets {} of {} to NULL, and the column does not take it.",
            crate::db::quote_identifier(&edge.constraint),
            listing(&edge.columns_not_null),
            edge.child,
        ),
        evidence: object! {
            "path": edge.path,
            "constraint_name": edge.constraint,
            "columns_not_null": edge.columns_not_null,
            "child_rows": edge.child_rows,
        },
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
