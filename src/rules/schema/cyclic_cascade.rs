use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "cyclic_cascade",
    category: "schema",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Foreign keys whose action deletes or writes rows lead from a table back to itself, directly or through others.",
    effect: "How far one statement reaches depends on the data alone: it goes on, level by level, until no row is left. Each \
             level is a query of its own within the same statement.",
    workaround: "Where a whole tree or ring of rows is not meant to go with one of them, use ON DELETE RESTRICT on one of the keys, \
                 and delete from the leaves up, in batches.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK"],
    options: &[],
    needs: &[Need::Cascade],
    cases: &[
        Case {
            name: "a tree, and a ring of two tables",
            setup: "create table a (id int primary key, above int references a on delete cascade); create table b (id int primary key, \
                    a_id int references a on delete cascade); alter table a add b_id int references b on delete set null; create table \
                    example as select 'a' as relation, 'delete' as action",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a ring that cascades all the way round",
            setup: "create table a (id int primary key, b_id int); create table b (id int primary key, a_id int references a on delete \
                    cascade); alter table a add foreign key (b_id) references b on delete cascade; create table example as select 'a' \
                    as relation, 'delete' as action",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a tree whose inner rows cannot be deleted",
            setup: "create table a (id int primary key, above int references a); create table example as select 'a' as relation, \
                    'delete' as action",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let cascade = facts.cascade();
    let cyclic = cascade.edges.iter().filter(|edge| edge.cycle && edge.goes_round && edge.fate.writes());
    let findings = cyclic.map(|edge| {
        let itself = edge.parent == edge.child;
        Finding {
            severity: if itself { Severity::low } else { Severity::medium },
            object: edge.object(),
            weight: edge.child_bytes,
            summary: format!("{} of {} goes round: {}", cascade.action.name(), cascade.top, edge.path.join(" → ")),
            cause: format!(
                "Foreign key {} ({}) leads back to {}, which the same statement has already written to. It goes on until no row is left.",
                crate::db::quote_identifier(&edge.constraint),
                edge.on.sql(),
                edge.child,
            ),
            evidence: object! {
                "path": edge.path,
                "constraint_name": edge.constraint,
                "rows_per_parent_row": edge.rows_per_parent,
                "child_rows": edge.child_rows,
                "basis": edge.basis,
            },
            ..Finding::that_changes_nothing()
        }
    });
    Ok(findings.collect())
}
