use crate::advice::statements::{self, comparison};
use crate::facts::Facts;
use crate::facts::statement_tree::{Comparison, Expression, Kind, Statement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "timestamp_compared_with_date",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A timestamp column is compared by = or <= (the end of BETWEEN too) with a date: a literal without a time, or a \
                value of type date.",
    effect: "The date is its midnight: = finds only rows of that very moment, and <= leaves out all of the last day but its first \
             moment.",
    workaround: "Say a half-open range: at >= first day AND at < day after the last.",
    sources: &[
        "https://wiki.postgresql.org/wiki/Don't_Do_This#Don.27t_use_BETWEEN_.28especially_with_timestamps.29",
        "https://www.postgresql.org/docs/17/functions-datetime.html",
    ],
    options: &[OptionSpec::pattern(
        "whole_days",
        r"^(day|date|week|month|quarter|year|period|bucket)(_|$)|_(day|week|month|quarter|year|period|bucket)$",
        "Columns of these names hold nothing but midnights.",
    )],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "the end of BETWEEN, and a day",
            setup: "create table t (id int primary key, at timestamptz, seen timestamp); create table example as select 'select \
                    id from t where at between ''2026-01-01'' and ''2026-01-31'' or seen = current_date' as query",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "half-open ranges, times of the day, dates and days",
            setup: "create table t (id int primary key, at timestamptz, d date, day timestamp, report_month timestamp); create \
                    table example as select 'select id from t where at >= ''2026-01-01'' and at < ''2026-02-01'' and at <= \
                    ''2026-01-31 23:59:59'' and d <= ''2026-01-31'' and day = ''2026-01-31'' and report_month <= \
                    ''2026-01-01'' and at <= now() and at > ''2026-01-03''' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const DATE: u32 = 1082;
const TIMESTAMPS: [u32; 2] = [1114, 1184];

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statement = facts.statement();
    let whole_days = options.pattern("whole_days");
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        for part in select.expressions().into_iter().flat_map(Expression::all) {
            let Some((side, how @ (Comparison::Equal | Comparison::LessOrEqual), other)) = comparison(part) else {
                continue;
            };
            let Some(column) = side.column().filter(|_| TIMESTAMPS.contains(&side.bare().type_oid)) else { continue };
            let Some(table) = select.table(facts.catalog(), column.item) else { continue };
            if whole_days.is_match(&column.name) || !is_date(other, statement) {
                continue;
            }
            let name = table.columns_of(&[column.attribute]);
            let sign = if how == Comparison::Equal { "=" } else { "<=" };
            let mut finding = statements::finding(statement, &format!("{name} {sign} a date"), other.location);
            if findings.iter().any(|other| other.object == finding.object) {
                continue;
            }
            finding.severity = RULE.severity;
            finding.summary = match how {
                Comparison::Equal => format!("{name} = a date finds only its midnight"),
                _ => format!("{name} <= a date leaves out that day but for its midnight"),
            };
            finding.cause =
                "The column has a time of the day, the date none: it is compared as the midnight with which the day \
                             begins."
                    .to_string();
            finding.app_fix = Some(match how {
                Comparison::Equal => {
                    format!("For the whole day: {} >= day AND {0} < day + 1, with day of type date.", column.name)
                }
                _ => format!("With the last day: {} < last + 1, with last of type date.", column.name),
            });
            finding.evidence.append(&mut object! { "column": name });
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// A value of type date, or a literal that names a day and no time.
fn is_date(other: &Expression, statement: &Statement) -> bool {
    let all = other.all();
    if let [part] = all.as_slice()
        && let Kind::Constant(Some(_)) = part.kind
        && TIMESTAMPS.contains(&part.type_oid)
    {
        let text = part.location.and_then(|location| statement.text.get(location..)).unwrap_or_default();
        let day = |text: &str| {
            let byte = |at: usize, wanted: fn(&u8) -> bool| text.as_bytes().get(at).is_some_and(wanted);
            byte(0, |b| *b == b'\'')
                && [1, 2, 3, 4, 6, 7, 9, 10].into_iter().all(|at| byte(at, u8::is_ascii_digit))
                && [5, 8].into_iter().all(|at| byte(at, |b| *b == b'-'))
                && byte(11, |b| *b == b'\'')
        };
        return day(text);
    }
    match &other.kind {
        Kind::Cast(cast) if cast.implicit => cast.argument.type_oid == DATE,
        _ => other.type_oid == DATE,
    }
}
