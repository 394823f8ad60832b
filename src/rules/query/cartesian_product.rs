use crate::advice::statements::{self, MIN_ROWS, items_named, large, outer_columns, subquery};
use crate::facts::statement_tree::{Expression, Fixed, From, ItemKind, Kind, Select, Statement};
use crate::facts::{Catalog, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use std::collections::HashMap;

pub static RULE: Rule = Rule {
    id: "cartesian_product",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Two parts of FROM are connected by no condition, not even by the same constant for a column of the same name, and \
                each holds a table of at least min_rows rows of which no unique key selects one row. Of severity medium where the \
                text says CROSS JOIN.",
    effect: "Every row of the one meets every row of the other: the result has the product of their rows, and totals over it are \
             wrong by that factor.",
    workaround: "Join by the column that ties the tables; where none does, ask with two queries.",
    sources: &["https://www.postgresql.org/docs/17/queries-table-expressions.html#QUERIES-JOIN"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a forgotten condition",
            setup: "create table a (id int primary key, x int); create table b (id int primary key, a int); create table c (id \
                    int primary key, b int); insert into a select g, g from generate_series(1, 11000) g; insert into b select g, \
                    g from generate_series(1, 11000) g; insert into c select g, g from generate_series(1, 11000) g; vacuum \
                    analyze; create table example as select 'select count(*) from a, b join c on c.b = b.id where a.x > 5' as \
                    query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one row, a small table, or a condition of some kind",
            setup: "create table a (id int primary key, x int, tenant_id int); create table b (id int primary key, a int, \
                    tenant_id int); create table small (id int); insert into a select g, g, 1 from generate_series(1, 11000) g; \
                    insert into b select g, g, 1 from generate_series(1, 11000) g; insert into small values (1), (2); vacuum \
                    analyze; create table example as select 'select (select count(*) from a, b where a.id = 7), (select count(*) \
                    from a, small), (select count(*) from a, b where a.x + 1 > b.a), (select count(*) from a, b where \
                    a.tenant_id = 1 and b.tenant_id = 1), (select count(*) from a, lateral (select 1 from b where b.a = a.id) \
                    l), (select count(*) from a left join b on b.a = a.id), (select count(*) from a, b where exists (select \
                    from small where id = a.x and id = b.a))' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let statement = facts.statement();
    let selects = statement.selects();
    let found =
        selects.iter().filter_map(|select| product(select, facts.catalog(), statement, options.number("min_rows")));
    let mut findings: Vec<Finding> = Vec::new();
    for finding in found {
        if findings.iter().all(|other| other.object != finding.object) {
            findings.push(finding);
        }
    }
    Ok(findings)
}

fn product(select: &Select, catalog: &Catalog, statement: &Statement, min_rows: f64) -> Option<Finding> {
    let items: Vec<usize> = select.from.iter().flat_map(From::items).collect();
    if items.len() < 2 || !statement.is_analyzed() {
        return None;
    }
    let fixed = Fixed::of(select, catalog);
    let mut groups = Groups((0..select.items.len()).collect());
    connect(select, &mut groups);
    let mut parts: Vec<(usize, &Table, Count)> = Vec::new();
    for item in items.into_iter().filter(|item| !fixed.item(*item)) {
        if let Some((table, rows)) = large(select, catalog, item, min_rows) {
            let group = groups.of(item);
            if parts.iter().all(|(other, ..)| *other != group) {
                parts.push((group, table, rows));
            }
        }
    }
    let [(_, first, rows), (_, second, other_rows), ..] = parts[..] else { return None };
    let product = rows.0 as f64 * other_rows.0 as f64;
    let wanted = statement.text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").contains("cross join");
    let mut finding = statements::finding(statement, &format!("{} and {}", first.name, second.name), None);
    finding.severity = if wanted { Severity::medium } else { RULE.severity };
    finding.weight = product as u64;
    finding.summary = format!(
        "Nothing connects {} ({}) and {} ({}): up to {product:.1e} rows",
        first.name,
        rows.of("row"),
        second.name,
        other_rows.of("row")
    );
    finding.cause =
        "No condition names columns of both, directly or through other tables: each row of the one is paired with all \
                     of the other."
            .to_string();
    finding.app_fix =
        Some("Add the condition that ties them, in ON or WHERE; DISTINCT would only hide it.".to_string());
    finding.evidence.append(&mut object! {
        "first_table": first.name.to_string(),
        "first_table_rows": rows,
        "second_table": second.name.to_string(),
        "second_table_rows": other_rows,
        "rows_at_most": product,
    });
    Some(finding)
}

/// What is connected has the same representative.
struct Groups(Vec<usize>);

impl Groups {
    fn of(&self, mut item: usize) -> usize {
        while self.0[item] != item {
            item = self.0[item];
        }
        item
    }

    fn join(&mut self, items: &[usize]) {
        for pair in items.windows(2) {
            let (first, second) = (self.of(pair[0]), self.of(pair[1]));
            self.0[first] = second;
        }
    }
}

fn connect(select: &Select, groups: &mut Groups) {
    let mut conditions: Vec<&Expression> = select.condition.iter().flat_map(Expression::conjuncts).collect();
    select.from.iter().for_each(|from| add_conditions(from, &mut conditions));
    let mut constants: HashMap<(String, String), usize> = HashMap::new();
    for condition in conditions {
        groups.join(&items_named(condition));
        if let Some((column, constant)) = fixed_column(condition)
            && let Some(other) = constants.insert((column.1, constant), column.0)
        {
            groups.join(&[column.0, other]);
        }
    }
    for (position, item) in select.items.iter().enumerate() {
        let mut named = vec![position];
        if let Some(inner) = subquery(item) {
            outer_columns(inner, 1, &mut |column, _| named.push(column.item));
        }
        if let ItemKind::Function { calls, .. } = &item.kind {
            named.extend(calls.iter().flat_map(items_named));
        }
        groups.join(&named);
    }
}

fn add_conditions<'a>(from: &'a From, conditions: &mut Vec<&'a Expression>) {
    if let From::Join { left, right, condition, .. } = from {
        conditions.extend(condition.iter().flat_map(Expression::conjuncts));
        add_conditions(left, conditions);
        add_conditions(right, conditions);
    }
}

/// Item and name of a column that equals a constant or a parameter, and that as text.
fn fixed_column(condition: &Expression) -> Option<((usize, String), String)> {
    let (left, right) = condition.equality()?;
    [(left, right), (right, left)].into_iter().find_map(|(side, other)| {
        let column = side.column()?;
        Some(((column.item, column.name.clone()), constant(other)?))
    })
}

fn constant(expression: &Expression) -> Option<String> {
    match &expression.kind {
        Kind::Constant(Some(text)) => Some(text.clone()),
        Kind::Parameter(number) => Some(format!("${number}")),
        Kind::Function(call) => {
            let arguments = call.arguments.iter().map(constant).collect::<Option<Vec<_>>>()?;
            Some(format!("{}({})", call.name, arguments.join(", ")))
        }
        Kind::Cast(cast) => constant(&cast.argument),
        _ => None,
    }
}
