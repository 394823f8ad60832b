use crate::advice::index_ddl::NewIndex;
use crate::advice::statements::{self, MIN_ROWS, has_indexed_equality, large};
use crate::facts::statement_tree::{Expression, Fixed, Kind, Select};
use crate::facts::{Catalog, Facts, Name, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "leading_wildcard",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "LIKE or ILIKE on a text column of a table of at least min_rows rows with a pattern that begins with a wildcard, \
                and no GIN or GiST index on the column. A pattern without three characters in a row is left alone, for trigrams do not \
                help it. Of severity low where an indexed column is compared too.",
    effect: "A btree finds beginnings only: every row is read and matched.",
    workaround: "A trigram index (extension pg_trgm) finds any part of a text of three characters or more.",
    sources: &["https://www.postgresql.org/docs/17/pgtrgm.html#PGTRGM-INDEX"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::RelationNames, Need::Statement],
    cases: &[
        Case {
            name: "a part, with the extension installed",
            setup: "create extension pg_trgm; create table t (id int primary key, a text); insert into t select g, md5(g::text) \
                    from generate_series(1, 12000) g; vacuum analyze; create table example as select 'select id from t where a \
                    ilike ''%abc_''' as query",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a parameter, without the extension",
            setup: "create table t (id int primary key, a varchar(40)); insert into t select g, md5(g::text) from \
                    generate_series(1, 12000) g; vacuum analyze; create table example as select 'select id from t where a like \
                    ''%'' || $1 || ''%''' as query",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "beginnings, short parts, one row, a small table, a trigram index",
            setup: "create extension pg_trgm; create table t (id int primary key, a text, b text); insert into t select g, \
                    md5(g::text), g from generate_series(1, 12000) g; create index on t using gist (b gist_trgm_ops); create \
                    table small (a text); insert into small values ('x'); vacuum analyze; create table example as select \
                    'select 1 from t, small s where t.a like ''abc%'' and t.a like ''%ab%'' and s.a like ''%abc%'' and t.b like \
                    ''%abc'' and t.a like $1 and exists (select from t where id = 7 and a like ''%abc%'')' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (statement, catalog) = (facts.statement(), facts.catalog());
    let mut findings: Vec<Finding> = Vec::new();
    for select in statement.selects() {
        let fixed = Fixed::of(select, catalog);
        for part in select.conjuncts().into_iter().flat_map(Expression::all) {
            let Some((table, rows, number, item)) = searched(part, select, catalog, options.number("min_rows")) else {
                continue;
            };
            if fixed.item(item) || has_trigrams(table, number) {
                continue;
            }
            let name = table.columns_of(&[number]);
            let mut finding = statements::finding(statement, &format!("a leading wildcard on {name}"), part.location);
            if findings.iter().any(|other| other.object == finding.object) {
                continue;
            }
            let found_otherwise = has_indexed_equality(select, table, item);
            finding.severity = if found_otherwise { Severity::low } else { RULE.severity };
            finding.weight = rows.0;
            finding.summary =
                format!("A pattern that begins with a wildcard is matched with {} of {name}", rows.of("row"));
            finding.cause = "No btree finds a part in the middle of a text, and no trigram index is on the column. That the planner \
                             takes one is not proved by planning here; dbre.what_if() does, and shows its size."
                .to_string();
            finding.evidence.append(&mut object! {
                "table": table.name.to_string(), "table_rows": rows, "column": name,
                "another_condition_is_indexed": found_otherwise,
            });
            add_index(&mut finding, facts, table, number);
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// The table, its rows, the column and the item that a pattern with a leading wildcard is matched with.
fn searched<'a>(
    part: &Expression,
    select: &Select,
    catalog: &'a Catalog,
    min_rows: f64,
) -> Option<(&'a Table, Count, i16, usize)> {
    let Kind::Operator(operator) = &part.kind else { return None };
    let like = operator.builtin && ["~~", "~~*"].contains(&operator.name.as_str());
    let (side, pattern) = operator.sides().filter(|_| like)?;
    // text and varchar; bpchar is cast to neither
    let column = side.column().filter(|_| [25, 1043].contains(&side.bare().type_oid))?;
    let (table, rows) = large(select, catalog, column.item, min_rows)?;
    let wild = match beginning(pattern)? {
        (text, true) => text.starts_with(['%', '_']) && has_trigram(text),
        (text, false) => text.starts_with(['%', '_']),
    };
    wild.then_some((table, rows, column.attribute, column.item))
}

/// The constant that a pattern begins with, and whether it is all of it.
fn beginning(pattern: &Expression) -> Option<(&str, bool)> {
    match &pattern.bare().kind {
        Kind::Constant(Some(text)) => Some((text, true)),
        Kind::Operator(operator) if operator.builtin && operator.name == "||" => {
            Some((beginning(operator.arguments.first()?)?.0, false))
        }
        Kind::Function(call) if call.builtin && call.name == "concat" => {
            Some((beginning(first(call.arguments.first()?))?.0, false))
        }
        _ => None,
    }
}

/// Of the array that variadic arguments make.
fn first(argument: &Expression) -> &Expression {
    match &argument.kind {
        Kind::Array(elements) => elements.first().unwrap_or(argument),
        _ => argument,
    }
}

fn has_trigram(pattern: &str) -> bool {
    let mut length = 0;
    for character in pattern.chars() {
        length = if character.is_alphanumeric() { length + 1 } else { 0 };
        if length == 3 {
            return true;
        }
    }
    false
}

fn has_trigrams(table: &Table, number: i16) -> bool {
    let finds_parts = |method: &str| ["gin", "gist"].contains(&method);
    table.indexes.iter().any(|index| {
        finds_parts(&index.method) && index.is_usable() && index.key_attributes().any(|attribute| attribute == number)
    })
}

fn add_index(finding: &mut Finding, facts: &Facts, table: &Table, number: i16) {
    let Some(column) = table.column(number) else { return };
    let installed = facts.database.extension_schema("pg_trgm");
    let schema = installed.cloned().unwrap_or_else(|| Name::from("public".to_string()));
    let trigrams = Name::from("trgm".to_string());
    let index = NewIndex {
        unique: false,
        specification: format!("USING gin ({} {schema}.gin_trgm_ops)", column.name),
        columns: vec![&column.name, &trigrams],
    };
    let mut namer = facts.relation_names().namer();
    let creation = index.creation(facts.catalog(), &mut namer, table, |_, _| false);
    let (mut fix, mut rollback) = (creation.fix_sql, creation.rollback_sql);
    finding.risk = format!(
        "{} Of a long text a GIN index is about as large as the text, and slows its writes; dbre.what_if() sizes it.",
        creation.risk
    );
    if installed.is_none() {
        fix = format!("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;\n{fix}");
        rollback = format!("{rollback}\nDROP EXTENSION IF EXISTS pg_trgm;");
        finding.risk += " CREATE EXTENSION needs the server's contrib package and the right to create in the database.";
    }
    finding.app_fix = Some(
        "Where beginnings are enough, drop the leading wildcard: a btree with text_pattern_ops finds them. For words, use full \
         text search."
            .to_string(),
    );
    finding.fix_sql = Some(fix);
    finding.rollback = Rollback::Sql(rollback);
    finding.verify_sql = Some(creation.verify_sql);
}
