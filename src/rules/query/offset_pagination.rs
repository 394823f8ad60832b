use crate::advice::rewrite::keyset;
use crate::advice::statements::{self, MIN_ROWS, joins_are_inner, rows_left};
use crate::facts::statement_tree::{Distinct, Expression, Fixed, From, Select, missing_key};
use crate::facts::{Catalog, Facts, Name, Statement, Table};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "offset_pagination",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query pages with LIMIT and an OFFSET of at least min_offset rows, or one that a parameter gives, through a \
                table of at least min_rows rows; also after its conditions of equality, as far as statistics tell. Low for a \
                parameter, whose values are not known.",
    effect: "All rows before the page are read, and sorted where no index gives the order, only to be thrown away: each page takes \
             longer than the one before. Rows inserted or deleted meanwhile shift the pages.",
    workaround: "Keyset pagination: take the rows behind the last one of the page before, by a unique order. An index on the \
                 sorted columns gives each page at once.",
    sources: &["https://www.postgresql.org/docs/17/queries-limit.html"],
    options: &[
        MIN_ROWS,
        OptionSpec::number("min_offset", (1000.0, "rows"), (1.0, 1e12), "Smaller constants are left alone."),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Statement],
    cases: &[
        Case {
            name: "a late page",
            setup: "create table t (id int primary key, day date not null); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id, day from t order by day \
                    desc limit 20 offset 5000' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a parameter",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id, day from t order by id \
                    limit $1 offset $2' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an early page",
            setup: "create table t (id int primary key, day date); insert into t select g, current_date - g % 100 from \
                    generate_series(1, 20000) g; analyze t; create table example as select 'select id, day from t order by id \
                    limit 20 offset 40' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "few rows by statistics, and a small table",
            setup: "create table t (id int primary key, owner int not null); create index on t (owner); insert into t select g, g \
                    % 1000 from generate_series(1, 20000) g; create table u (id int primary key); insert into u values (1); \
                    analyze t, u; create table example as select 'select id from t where owner = $1 order by id limit 10 offset \
                    $2' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let Some(query) = statement.query.as_ref().filter(|_| statement.write.is_none()) else { return Ok(Vec::new()) };
    let Some(offset) = query.offset.as_ref().filter(|_| query.limit.is_some()) else { return Ok(Vec::new()) };
    let known = offset.number();
    let is_late = match known {
        Some(rows) => rows >= options.number("min_offset"),
        None => !offset.is_null_constant(),
    };
    let Some((item, table, rows)) = largest(query, catalog).filter(|_| is_late) else { return Ok(Vec::new()) };
    let left = rows_left(query, catalog, facts.column_statistics(), item).unwrap_or(rows.0 as f64);
    if left < options.number("min_rows") {
        return Ok(Vec::new());
    }
    let page = keyset(statement, query, catalog, (item, table));
    let skipped = match known {
        Some(number) => format!("{} are", Count(number as u64).of("row")),
        None => "as many rows as the parameter says are".to_string(),
    };
    let mut finding = statements::finding(statement, &table.name.to_string(), offset.location);
    finding.evidence.insert("table".to_string(), json!(table.name.to_string()));
    finding.evidence.insert("table_rows".to_string(), json!(rows));
    finding.evidence.insert("offset_rows".to_string(), json!(known));
    let mend = match &page {
        Some(page) => {
            finding.evidence.insert("keyset_query".to_string(), json!(page.text));
            format!("{}\nWith {} of the last row of the page before as ${} and following.", page.text, page.columns, page.first)
        }
        None => "Sort by columns that are never NULL, in one direction, ending with a unique key; then ask for the rows behind the \
                 last one seen: WHERE (a, id) > ($1, $2) ORDER BY a, id LIMIT n."
            .to_string(),
    };
    Ok(vec![Finding {
        severity: if known.is_some() { RULE.severity } else { Severity::low },
        weight: rows.0,
        summary: format!("OFFSET pages through {}: {skipped} read and thrown away", table.name),
        cause: format!(
            "The server has to find the rows before the page to know where it begins: {skipped} read for each call, of about {} \
             that the conditions leave.",
            Count(left as u64).of("row")
        ),
        app_fix: Some(mend),
        ..finding
    }])
}

fn largest<'a>(query: &Select, catalog: &'a Catalog) -> Option<(usize, &'a Table, Count)> {
    let fixed = Fixed::of(query, catalog);
    let items = query.from.iter().flat_map(From::items).filter(|item| !fixed.item(*item));
    let tables = items.filter_map(|item| {
        let table = query.table(catalog, item)?;
        Some((item, table, catalog.rows(table)?))
    });
    tables.max_by_key(|(_, _, rows)| *rows)
}

struct Page {
    text: String,
    /// Whose values the parameters are.
    columns: String,
    first: i32,
}

/// None: the order is by expressions, by columns that may be NULL, in both directions, of outer joins, or no unique key completes it.
fn keyset(statement: &Statement, query: &Select, catalog: &Catalog, (item, table): (usize, &Table)) -> Option<Page> {
    let plain = query.group_by.is_empty() && matches!(query.distinct, Distinct::No) && !query.has_aggregates;
    let descending = query.order_by.first()?.descending;
    let inner = query.from.iter().all(joins_are_inner);
    if !plain
        || !inner
        || query.set_operation.is_some()
        || query.order_by.iter().any(|key| key.descending != descending)
    {
        return None;
    }
    let sorted = query.order_by.iter().map(|key| key.expression.column()).collect::<Option<Vec<_>>>()?;
    let mut columns = Vec::new();
    for column in &sorted {
        let of = query.table(catalog, column.item)?;
        if !of.column(column.attribute)?.not_null {
            return None;
        }
        columns.push((column.item, column.attribute));
    }
    let given: Vec<&Expression> = query.order_by.iter().map(|key| &key.expression).collect();
    let fixed = Fixed::given(query, catalog, given.into_iter());
    let mut added = 0;
    if !fixed.all_items(query) {
        let alone = query.from.iter().flat_map(From::items).all(|other| other == item || fixed.item(other));
        let missing = alone.then(|| missing_key(table, item, &fixed))??;
        added = missing.len();
        columns.extend(missing.into_iter().map(|number| (item, number)));
    }
    let name = |(item, number): &(usize, i16)| -> Option<String> {
        let column = &query.table(catalog, *item)?.column(*number)?.name;
        let alone = query.items.len() == 1;
        let qualified = || format!("{}.{column}", Name::from(query.items[*item].name.clone()));
        Some(if alone { column.to_string() } else { qualified() })
    };
    let names = columns.iter().map(name).collect::<Option<Vec<_>>>()?;
    let (text, first) = keyset::rewrite(&statement.text, &names, added, descending)?;
    Some(Page { text, columns: names.join(", "), first })
}
