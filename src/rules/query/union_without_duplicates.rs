use crate::advice::rewrite::union;
use crate::advice::statements::{self, MIN_ROWS, advise, has_plain_equality, largest};
use crate::facts::statement_tree::{
    Expression, Fixed, Kind, Select, SetKind, SetOperation, SetPart, at_most_one_row, output_keys,
};
use crate::facts::{Catalog, Facts};
use crate::finding::{Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "union_without_duplicates",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "UNION is the whole statement, no two rows of an arm can be equal (a unique key without NULL, GROUP BY or DISTINCT \
                is in its output, or it has one row), and in one output column the arms hold different constants. Some arm reads \
                a table of at least min_rows rows.",
    effect: "UNION sorts or hashes all rows to find equal ones, of which there are none; it spills to disk above work_mem, and \
             nothing is returned before it is done.",
    workaround: "UNION ALL returns the same rows.",
    sources: &["https://www.postgresql.org/docs/17/sql-select.html#SQL-UNION"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "keys in the output, and a constant that tells the arms apart",
            setup: "create table a (id int primary key, x text); create table b (id int, y int, z text, primary key (y, id)); \
                    insert into a select g, nullif(g % 9, 2)::text from generate_series(1, 12000) g; insert into b select g, g % \
                    5, 'b' from generate_series(1, 300) g; vacuum analyze; create table example as select 'select ''a'' as kind, \
                    id, x from a where id % 40 = 0 union select ''b'', id, z from b where y = 1 union select ''c'', count(*), \
                    null from a' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the column that tells them apart is compared with constants",
            setup: "create table a (id int primary key, x text not null); insert into a select g, (g % 9)::text from \
                    generate_series(1, 12000) g; vacuum analyze; create table example as select 'select id, x from a where x = \
                    ''1'' and id < 500 union select id, x from a where x = ''2'' and id < 400 order by id' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "arms that overlap or repeat rows",
            setup: "create table a (id int primary key, x text); insert into a select g, (g % 9)::text from generate_series(1, \
                    12000) g; vacuum analyze; create table example as select 'select 1, x from a union select 2, x from a' as \
                    query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the same constant in two arms",
            setup: "create table a (id int primary key, x text); insert into a select g, (g % 9)::text from generate_series(1, \
                    12000) g; vacuum analyze; create table example as select 'select 1, id from a union select 2, id from a \
                    union select 1, id from a' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let Some(query) = &statement.query else { return Ok(Vec::new()) };
    let Some(operation) = &query.set_operation else { return Ok(Vec::new()) };
    let mut positions = Vec::new();
    let Some(true) = arms(operation, &mut positions) else { return Ok(Vec::new()) };
    let arms: Vec<&Select> =
        positions.iter().filter_map(|item| query.items.get(*item).and_then(statements::subquery)).collect();
    let largest =
        arms.iter().filter_map(|arm| largest(arm, catalog, options.number("min_rows"))).max_by_key(|(_, rows)| *rows);
    let (Some((table, rows)), true) = (largest, arms.len() == positions.len()) else { return Ok(Vec::new()) };
    let Some(column) = (0..query.targets.len()).find(|column| tells_apart(&arms, *column)) else {
        return Ok(Vec::new());
    };
    if !arms.iter().all(|arm| has_no_duplicates(arm, catalog)) {
        return Ok(Vec::new());
    }
    let mut finding = statements::finding(statement, "UNION", None);
    finding.severity = RULE.severity;
    finding.weight = rows.0;
    finding.summary =
        format!("UNION of {} looks for equal rows where there can be none", Count(arms.len() as u64).of("arm"));
    finding.cause = format!(
        "Output column {} holds a different constant in each arm, and no arm has two equal rows, by its keys. Sorting or hashing \
         all rows finds nothing.",
        column + 1
    );
    finding.evidence.append(&mut object! {
        "arms": arms.len(),
        "telling_column": query.targets[column].name,
        "largest_table": table.name.to_string(),
        "largest_table_rows": rows,
    });
    advise(&mut finding, union::keep_duplicates(&statement.text), "Write UNION ALL.");
    Ok(vec![finding])
}

/// Whether some UNION removes duplicates; None: there are other operations.
fn arms(operation: &SetOperation, positions: &mut Vec<usize>) -> Option<bool> {
    if operation.kind != SetKind::Union {
        return None;
    }
    let mut removes = !operation.all;
    for part in [&operation.left, &operation.right] {
        match &**part {
            SetPart::Arm(item) => positions.push(*item),
            SetPart::Operation(inner) => removes |= arms(inner, positions)?,
        }
    }
    Some(removes)
}

fn tells_apart(arms: &[&Select], column: usize) -> bool {
    let mut seen: Vec<(u32, &str)> = Vec::new();
    for arm in arms {
        let Some(value) = arm.targets.get(column).and_then(|target| constant(&target.expression, arm)) else {
            return false;
        };
        // Constants of several types can be equal with different texts.
        if seen.iter().any(|other| *other == value || other.0 != value.0) {
            return false;
        }
        seen.push(value);
    }
    true
}

/// The one value that an output has.
fn constant<'a>(expression: &'a Expression, arm: &'a Select) -> Option<(u32, &'a str)> {
    let expression = expression.bare();
    let plain = |expression: &'a Expression| match &expression.kind {
        Kind::Constant(Some(text)) if has_plain_equality(expression.type_oid) => {
            Some((expression.type_oid, text.as_str()))
        }
        _ => None,
    };
    let Some(column) = expression.column() else { return plain(expression) };
    arm.conjuncts().into_iter().filter_map(Expression::equality).find_map(|(left, right)| {
        [(left, right), (right, left)]
            .into_iter()
            .find_map(|(side, other)| if side.column() == Some(column) { plain(other.bare()) } else { None })
    })
}

fn has_no_duplicates(arm: &Select, catalog: &Catalog) -> bool {
    let plain = !arm.returns_sets && !arm.grouping_sets && !arm.has_aggregates && arm.group_by.is_empty();
    let outputs = arm.targets.iter().map(|target| &target.expression);
    at_most_one_row(arm, catalog)
        || !output_keys(arm, catalog).is_empty()
        || plain && arm.set_operation.is_none() && Fixed::given(arm, catalog, outputs).all_items(arm)
}
