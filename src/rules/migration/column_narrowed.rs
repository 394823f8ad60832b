use crate::advice::migration_effects::{Caused, rewrites};
use crate::advice::migration_step::{self, size};
use crate::db::quote_identifier;
use crate::facts::Facts;
use crate::facts::migration::{Migration, Rewrite};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "column_narrowed",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "SET DATA TYPE to a type that holds less than the old one: shorter, with fewer digits, a smaller integer, a date of a timestamp.",
    effect: "Where a value does not fit, the statement fails after it has begun to rewrite the table; or it is rounded or cut, and what it was is gone.",
    workaround: "Look for values that do not fit first. Keep the old column until all is proven: add a new one, fill it, compare.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-altertable.html",
        "https://www.postgresql.org/docs/17/datatype.html",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "shorter, smaller, rounded",
            setup: "create table t (id bigint, a varchar(20), b numeric(10, 4), c timestamptz); insert into t select g, 'a', g, now() from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter id type int; alter table t alter a type varchar(10); alter table t alter b type numeric(10, 2); alter table t alter c type date' as migration",
            finds: 4,
            fix_clears: false,
        },
        Case {
            name: "wider, an empty table",
            setup: "create table e (a bigint); create table t (id int, a varchar(20), b numeric(10, 4)); insert into t select g, 'a', g from generate_series(1, 1000) g; analyze t; create table example as select 'alter table t alter id type bigint; alter table t alter a type text; alter table t alter b type numeric(14, 4); create table n (a bigint); alter table n alter a type int' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Fails,
    Rounded,
    Cut,
}

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let found = rewrites(migration, RULE.id, |why| match why {
        Rewrite::TypeChange { column, from, to } => narrows(from, to).map(|_| column.as_str()),
        _ => None,
    });
    Ok(found.iter().filter(|one| one.table.rows >= 1.0).filter_map(|one| finding(migration, one)).collect())
}

fn finding(migration: &Migration, one: &Caused<Rewrite>) -> Option<Finding> {
    let Rewrite::TypeChange { column, from, to } = one.why else { return None };
    let loss = narrows(from, to)?;
    let table = &one.table;
    let quoted = quote_identifier(column);
    let name = format!("{}.{quoted}", table.name);
    let mut finding = migration_step::finding(migration, one.step, table, &name);
    let becomes = match loss {
        Loss::Fails => "makes the statement fail",
        Loss::Rounded => "is rounded, and the digits are gone",
        Loss::Cut => "is cut, and the rest is gone",
    };
    finding.severity = finding.severity.min(Severity::medium);
    finding.summary = format!("{name} gets narrower: {from} to {to}, {}", size(table));
    finding.cause = format!("A value that {to} cannot hold {becomes}.");
    finding.evidence.insert("from".into(), from.as_str().into());
    finding.evidence.insert("to".into(), to.as_str().into());
    Some(migration_step::without_fix(finding))
}

/// None: every value fits, or the types are of different kinds.
fn narrows(from: &str, to: &str) -> Option<Loss> {
    const INTEGERS: [&str; 3] = ["smallint", "integer", "bigint"];
    let ((old, old_sizes), (new, new_sizes)) = (parts(from), parts(to));
    let rank = |name: &str| INTEGERS.iter().position(|integer| *integer == name);
    let texts = ["character varying", "text", "character", "bit varying", "bit"];
    let unlimited = |sizes: &[u32]| sizes.first().copied().unwrap_or(u32::MAX);
    let times = ["timestamp", "time", "interval"];
    match (old.as_str(), new.as_str()) {
        _ if rank(&old).is_some() && rank(&new).is_some() => (rank(&new) < rank(&old)).then_some(Loss::Fails),
        ("numeric", "numeric") => match (&old_sizes[..], &new_sizes[..]) {
            (_, []) => None,
            ([], _) => Some(Loss::Rounded),
            (old, new) => {
                let scale = |sizes: &[u32]| sizes.get(1).copied().unwrap_or(0);
                if scale(new) < scale(old) {
                    return Some(Loss::Rounded);
                }
                (new[0].saturating_sub(scale(new)) < old[0].saturating_sub(scale(old))).then_some(Loss::Fails)
            }
        },
        ("numeric" | "double precision" | "real", new) if rank(new).is_some() => Some(Loss::Rounded),
        ("double precision", "real") => Some(Loss::Rounded),
        (old, "date") if old.starts_with("timestamp") => Some(Loss::Cut),
        _ if texts.contains(&old.as_str()) && texts.contains(&new.as_str()) => {
            (unlimited(&new_sizes) < unlimited(&old_sizes)).then_some(Loss::Fails)
        }
        (old, new) if times.iter().any(|time| old.starts_with(time) && new.starts_with(time)) => {
            let digits = |sizes: &[u32]| sizes.first().copied().unwrap_or(6);
            (digits(&new_sizes) < digits(&old_sizes)).then_some(Loss::Rounded)
        }
        _ => None,
    }
}

/// `numeric(10,2)`: its name and its numbers; what stands after them, as of `timestamp(3) without time zone`, is left out.
fn parts(name: &str) -> (String, Vec<u32>) {
    let Some((base, rest)) = name.split_once('(') else { return (name.to_string(), Vec::new()) };
    let sizes = rest.split(')').next().unwrap_or("").split(',').filter_map(|size| size.trim().parse().ok());
    (base.trim().to_string(), sizes.collect())
}
