use crate::advice::index_ddl::NewIndex;
use crate::advice::statements::MIN_ROWS;
use crate::advice::wrapped_column::{Wrapped, wrapped};
use crate::facts::statement_tree::{Comparison, Expression, Kind, Volatility};
use crate::facts::{Facts, Name, Namer};
use crate::finding::{Finding, Rollback, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "function_on_indexed_column",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "WHERE compares a function of a column, or its sum or difference, with a constant, in a way that the column itself, \
                or an index on the expression, could be compared instead; a btree begins with the column, \
                or with others that the query has equalities for before it, none is on an expression over it, and the table has \
                at least min_rows rows. Of severity low where another indexed column is compared too.",
    effect: "The index has the column's values, not those of the function: the table is read from end to end.",
    workaround: "Compare the column itself, where that says the same: periods as half-open ranges, arithmetic on the other side. \
                 Otherwise an index on the expression finds it.",
    sources: &["https://www.postgresql.org/docs/17/indexes-expressional.html"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::RelationNames, Need::Statement],
    cases: &[
        Case {
            name: "lower",
            setup: "create table t (id int primary key, email varchar(80)); insert into t select g, 'A' || g from \
                    generate_series(1, 12000) g; create index on t (email); vacuum analyze; create table example as select \
                    'select id from t where lower(email) = ''a7''' as query",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a month, a year, arithmetic and a default",
            setup: "create table t (id int primary key, at timestamp, a int, b bigint); insert into t select g, case when g % 50 > \
                    0 then '2025-11-01'::timestamp + g * interval '17 minutes' end, nullif(g % 3000, 7), g % 40 from \
                    generate_series(1, 12000) g; insert into t values (0, 'infinity', 1, 2), (-1, '2026-01-01', 3, 4); create \
                    index on t (at); create index on t (a); vacuum analyze; create table example as select 'select id from t \
                    where date_trunc(''month'', at) = ''2026-01-01''' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a default for NULL",
            setup: "create table t (id int primary key, a int); insert into t select g, nullif(g % 3000, 7) from \
                    generate_series(1, 12000) g; create index on t (a); vacuum analyze; create table example as select 'select id \
                    from t where coalesce(a, 0) = 0' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an index on the expression, no index on the column, or nothing that an index finds",
            setup: "create table t (id int primary key, a text, b text, c int); insert into t select g, g, g, g from \
                    generate_series(1, 12000) g; create index on t (a); create index on t (lower(a)); create index on t (c); \
                    vacuum analyze; create table example as select 'select 1 from t where lower(a) = ''x'' and lower(b) = \
                    ''y'' and c > 5 + 1 and c % 40 = 0 and length(a) > 3' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statement = facts.statement();
    let mut namer = facts.relation_names().namer();
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        for wrapped in wrapped(select, facts.catalog(), options.number("min_rows")) {
            let what = match &wrapped.side.bare().kind {
                Kind::Cast(_) => continue,
                Kind::Function(call) => format!("{}()", call.name),
                Kind::Operator(operator) => format!("Operator {}", operator.name),
                Kind::Coalesce(_) => "coalesce()".to_string(),
                _ => "An expression".to_string(),
            };
            let mut finding = wrapped.finding(statement, RULE.severity, &what);
            finding.cause =
                "The index has the values of the column, and the condition is on another value made of each."
                    .to_string();
            let otherwise = "Compare the column itself: move arithmetic to the other side, and say periods as half-open ranges \
                             (at >= start AND at < end).";
            let rewritten = wrapped.rewrite(&mut finding, statement, otherwise);
            if !rewritten {
                add_index(&mut finding, &wrapped, facts, &mut namer);
            }
            if !rewritten && finding.fix_sql.is_none() && !is_order_preserving(wrapped.side) {
                continue;
            }
            if findings.iter().all(|other| other.object != finding.object) {
                findings.push(finding);
            }
        }
    }
    Ok(findings)
}

/// An index on the expression, where it is an immutable function of the column alone.
fn add_index(finding: &mut Finding, wrapped: &Wrapped, facts: &Facts, namer: &mut Namer) {
    let Kind::Function(call) = &wrapped.side.bare().kind else { return };
    let [argument] = call.arguments.as_slice() else { return };
    if wrapped.how != Comparison::Equal
        || !call.builtin
        || call.volatility != Volatility::Immutable
        || !is_called_by_name(&call.name)
        || !is_column(argument)
    {
        return;
    }
    let expression = format!("{}({})", call.name, wrapped.column.name);
    let name = Name::from(call.name.clone());
    let index = NewIndex {
        unique: false,
        specification: format!("USING btree ({expression})"),
        columns: vec![&wrapped.column.name, &name],
    };
    let creation = index.creation(facts.catalog(), namer, wrapped.table, |_, _| false);
    finding.app_fix =
        Some(format!("An index on {expression} finds it; ANALYZE then also counts its values for the planner."));
    finding.fix_sql = Some(creation.fix_sql);
    finding.rollback = Rollback::Sql(creation.rollback_sql);
    finding.verify_sql = Some(creation.verify_sql);
    finding.risk = format!("{} Every write of the column pays for one more index.", creation.risk);
}

fn is_column(argument: &Expression) -> bool {
    argument.column().is_some()
}

/// What is larger stays so: a condition on it is one on a range of the column.
fn is_order_preserving(side: &Expression) -> bool {
    match &side.bare().kind {
        Kind::Operator(operator) => operator.builtin && ["+", "-"].contains(&operator.name.as_str()),
        Kind::Function(call) => {
            call.builtin && ["date_trunc", "date", "timezone", "date_bin", "to_char"].contains(&call.name.as_str())
        }
        _ => false,
    }
}

/// Functions that SQL does not spell in a way of its own.
fn is_called_by_name(name: &str) -> bool {
    ["lower", "upper", "md5", "length", "abs", "btrim", "ltrim", "rtrim", "reverse", "ascii"].contains(&name)
}
