use crate::advice::statements::MIN_ROWS;
use crate::advice::wrapped_column::wrapped;
use crate::facts::Facts;
use crate::facts::statement_tree::Kind;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "cast_on_indexed_column",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "WHERE compares a cast of a column with a constant, written or implied by the constant's type; a btree begins with \
                the column, or with others that the query has equalities for before it, none is on an expression over it, and \
                the table has at least min_rows rows. Of severity low where another indexed column is compared too.",
    effect: "The index has the column's values, not those of the cast: the table is read from end to end.",
    workaround: "Compare the column itself: days as half-open ranges, constants and parameters of the column's type.",
    sources: &["https://www.postgresql.org/docs/17/indexes-expressional.html"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "days of a timestamp",
            setup: "create table t (id int primary key, at timestamp); insert into t select g, case when g % 50 > 0 then \
                    '2026-01-01'::timestamp + g * interval '7 minutes' end from generate_series(1, 12000) g; insert into t values \
                    (0, 'infinity'), (-1, '2026-01-31 00:00:00'), (-2, '2026-01-31 23:59:59.999999'), (-3, '2026-02-01'); create \
                    index on t (at); vacuum analyze; create table example as select 'select id from t where at::date between \
                    ''2026-01-20'' and ''2026-01-31''' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "behind a column with an equality",
            setup: "create table t (tenant_id int, id int, at timestamptz, primary key (tenant_id, id)); insert into t select g % \
                    3, g, case when g % 50 > 0 then '2026-01-01'::timestamptz + g * interval '7 minutes' end from \
                    generate_series(1, 12000) g; create index on t (tenant_id, at); vacuum analyze; create table example as \
                    select 'select id from t where tenant_id = 2 and at::date = ''2026-01-31''' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a number as text",
            setup: "create table t (id int primary key, a int); insert into t select g, nullif(g % 3000, 7) from \
                    generate_series(1, 12000) g; create index on t (a); vacuum analyze; create table example as select 'select id \
                    from t where a::text = ''42''' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a cast that the constant implies",
            setup: "create table t (id int primary key, a int); insert into t select g, nullif(g % 3000, 7) from \
                    generate_series(1, 12000) g; create index on t (a); vacuum analyze; create table example as select 'select id \
                    from t where a = 42.0' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "casts of constants, without an index, on one row",
            setup: "create table t (id int primary key, a int, b timestamp, c varchar(10)); insert into t select g, g, now(), g \
                    from generate_series(1, 12000) g; create index on t (a); create index on t (c); vacuum analyze; create table \
                    example as select 'select 1 from t x, t y where x.a = ''7''::int and x.b::date = current_date and x.c = \
                    ''7'' and y.id = 7 and y.a::text = ''7'' and x.a = y.a' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statement = facts.statement();
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        for wrapped in wrapped(select, facts.catalog(), options.number("min_rows")) {
            let Kind::Cast(cast) = &wrapped.side.bare().kind else { continue };
            let what = if cast.implicit { "An implied cast" } else { "A cast" };
            let mut finding = wrapped.finding(statement, RULE.severity, what);
            finding.cause = match cast.implicit {
                true => "The constant's type makes the server cast the column before it compares.".to_string(),
                false => "The index has the values of the column, and the condition is on another value made of each."
                    .to_string(),
            };
            wrapped.rewrite(
                &mut finding,
                statement,
                "Compare the column itself with a constant or parameter of its own type; or create an index on the cast, where it \
                 is immutable.",
            );
            if findings.iter().all(|other| other.object != finding.object) {
                findings.push(finding);
            }
        }
    }
    Ok(findings)
}
