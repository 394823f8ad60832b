use crate::facts::Facts;
use crate::facts::cascade::{Cascade, Edge, Fate};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count};

pub static RULE: Rule = Rule {
    id: "cascade_reaches_many_rows",
    category: "schema",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A delete of one row, or an update of its key, deletes or writes more than many_rows rows of one table through \
                foreign keys: expected on average, or for the row that has most children.",
    effect: "One statement that looks cheap writes for long in one transaction: it holds row locks in all those tables, fires their \
             triggers row by row, writes the WAL that replicas must replay, and leaves dead rows behind.",
    workaround: "Delete the children first, in batches, each committed, from the bottom of the tree up; then the parent. Or mark the \
                 parent as deleted and clean up in the background. Where the rows must not go at all, ON DELETE RESTRICT says so.",
    sources: &["https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK"],
    options: &[OptionSpec::number(
        "many_rows",
        (10_000.0, "rows"),
        (1.0, 1e12),
        "Silent up to so many; from a hundred times this, severity high.",
    )],
    needs: &[Need::Cascade],
    cases: &[
        Case {
            name: "a grandchild of which each row has thousands",
            setup: "create table a (id int primary key); create table b (id int primary key, a_id int not null references a on delete \
                    cascade); create table c (b_id int not null references b on delete cascade); create index on b (a_id); create index \
                    on c (b_id); insert into a values (1), (2); insert into b select g, 1 + g % 2 from generate_series(1, 100) g; insert \
                    into c select 1 + g % 100 from generate_series(1, 40000) g; analyze; create table example as select 'a' as \
                    relation, 'delete' as action",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few on average, many of one",
            setup: "create table a (id int primary key); create table b (a_id int not null references a on update cascade); create index \
                    on b (a_id); insert into a select generate_series(1, 1000); insert into b select case when g % 2 = 0 then 7 else 1 + \
                    g % 1000 end from generate_series(1, 40000) g; analyze; create table example as select 'a' as relation, 'update' \
                    as action",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "many rows that forbid the delete, and few that go",
            setup: "create table a (id int primary key); create table b (a_id int not null references a); create table c (a_id int not \
                    null references a on delete cascade); create index on b (a_id); create index on c (a_id); insert into a values (1); \
                    insert into b select 1 from generate_series(1, 20000); insert into c values (1); analyze; create table example as \
                    select 'a' as relation, 'delete' as action",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let cascade = facts.cascade();
    let many = options.number("many_rows");
    let written = cascade.edges.iter().filter(|edge| matches!(edge.fate, Fate::Deleted | Fate::Updated));
    Ok(written.filter_map(|edge| finding(cascade, edge, many)).collect())
}

fn finding(cascade: &Cascade, edge: &Edge, many: f64) -> Option<Finding> {
    let of_one = edge.most_rows_per_parent.filter(|_| edge.rows_per_parent.is_some());
    let (rows, of) = match (edge.expected_rows, of_one) {
        (Some(expected), most) if expected > many && most.is_none_or(|most| expected >= most) => {
            (expected, format!("one row of {}", cascade.top))
        }
        (_, Some(most)) if most > many => (most, format!("the row of {} that has most", edge.parent)),
        (Some(expected), _) if expected > many => (expected, format!("one row of {}", cascade.top)),
        _ => return None,
    };
    let verb = if edge.fate == Fate::Deleted { "deletes" } else { "writes" };
    let count = Count(rows as u64);
    Some(Finding {
        severity: if rows >= 100.0 * many { Severity::high } else { Severity::medium },
        object: edge.object(),
        weight: edge.child_bytes,
        summary: format!("{} of {of} {verb} about {count} rows of {}", cascade.action.name(), edge.child),
        cause: format!(
            "Foreign key {} ({}) reaches {} through {}; {}. It has {}.",
            crate::db::quote_identifier(&edge.constraint),
            edge.on.sql(),
            edge.child,
            edge.path.join(" → "),
            edge.basis,
            Bytes(edge.child_bytes),
        ),
        evidence: object! {
            "path": edge.path,
            "constraint_name": edge.constraint,
            "expected_rows": edge.expected_rows,
            "rows_per_parent_row": edge.rows_per_parent,
            "most_rows_per_parent_row": edge.most_rows_per_parent,
            "basis": edge.basis,
            "triggers": edge.triggers,
        },
        ..Finding::that_changes_nothing()
    })
}
