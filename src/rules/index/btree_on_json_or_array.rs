use crate::advice::index_ddl::NewIndex;
use crate::facts::{Catalog, Column, Facts, Index, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, listing};

pub static RULE: Rule = Rule {
    id: "btree_on_json_or_array",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A valid btree that is not unique has a jsonb, array or tsvector column as its only key, and no valid GIN index \
                has that column. Either statements in pg_stat_statements search the column with operators that GIN serves \
                (containment, overlap, existence, match), or, of severity low, no scan has used the index.",
    effect: "A btree compares whole documents: it serves equality and order, not what is in them, so that the statements read \
             the whole table.",
    workaround: "Create a GIN index on the column. Drop the btree when nothing compares whole values.",
    sources: &[
        "https://www.postgresql.org/docs/17/gin.html",
        "https://www.postgresql.org/docs/17/datatype-json.html#JSON-INDEXING",
    ],
    options: &[OptionSpec::number(
        "min_statistics_days",
        (7.0, "days"),
        (0.0, 3650.0),
        "How long statistics must have counted for an index without scans to be unused.",
    )],
    needs: &[Need::Catalog, Need::RelationNames, Need::Workload],
    cases: &[
        Case {
            name: "containment on jsonb and overlap of arrays",
            setup: "create extension pg_stat_statements; create table t (id int primary key, doc jsonb, tags text[]); insert \
                    into t values (1, '{\"a\": 1}', '{x}'); create index on t (doc); create index on t (tags); select id from \
                    t where doc @> '{\"a\": 1}'; select t.id from t join t as u on u.id = t.id where u.tags && array['x', 'y']",
            finds: 2,
            fix_clears: true,
        },
        Case {
            name: "never scanned",
            setup: "create table t (id int primary key, doc jsonb); create index on t (doc); select \
                    dbre.configure_rule('btree_on_json_or_array', options => '{\"min_statistics_days\": 0}')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a GIN index is there, an expression, unique, several columns, json compared whole",
            setup: "create table t (id int primary key, doc jsonb, tags text[]); create index on t (doc); create index on t \
                    using gin (doc); create index on t ((doc ->> 'a')); create unique index on t (tags); create index on t \
                    (tags, id); create table u (tags int[]); create index on u (tags); set enable_seqscan = off; select * \
                    from u where tags = '{1}'",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Operators of the built-in GIN operator classes that a btree does not serve.
const GIN_OPERATORS: &[&str] = &["@>", "<@", "&&", "?", "?|", "?&", "@@", "@?"];

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let observed = facts.observed_days(options.number("min_statistics_days")).is_ok();
    let mut findings = Vec::new();
    for (table, index) in catalog.indexes() {
        let Some(column) = searched_column(catalog, table, index) else { continue };
        let searches: Vec<_> = facts
            .workload()
            .filters_of(table)
            .filter(|filter| filter.column == column.number && GIN_OPERATORS.contains(&filter.operator.as_str()))
            .map(|filter| format!("{} ({})", filter.operator, Count(filter.calls).of("call")))
            .collect();
        let scans = catalog.scans(table, index);
        if searches.is_empty() && (scans.0 > 0 || !observed) {
            continue;
        }
        let name = table.index_name(index);
        let type_ = catalog.type_of(column.type_oid).map_or("?", |type_| type_.name.as_str());
        let creation = (!searches.is_empty()).then(|| {
            let specification = format!("USING gin ({})", column.name);
            NewIndex { unique: false, specification, columns: vec![&column.name] }.creation(
                catalog,
                &mut namer,
                table,
                |partition, index| {
                    &*index.method == "gin" && index.is_plain() && is_only_key(partition, index, &column.name)
                },
            )
        });
        let evidence_of_use = match searches.is_empty() {
            false => format!("statements search it with {}", listing(&searches)),
            true => "no scan has used the index".to_string(),
        };
        findings.push(Finding {
            severity: if searches.is_empty() { Severity::low } else { RULE.severity },
            weight: catalog.bytes(table).0,
            summary: format!("Btree {name} is on {type_} column {}: {evidence_of_use}", column.name),
            cause: format!(
                "A btree orders values of type {type_} as a whole; {evidence_of_use}.{}",
                match searches.is_empty() {
                    false => " GIN indexes the elements.",
                    true =>
                        " If statements are to look into the values, create a GIN index in its place; if none are, drop it. \
                         Nothing here says which.",
                }
            ),
            evidence: object! {
                "table": table.name.to_string(),
                "column": column.name.raw(),
                "type": type_,
                "index_bytes": catalog.index_bytes(table, index),
                "index_scans": scans,
                "searches": searches,
            },
            impact: object! {},
            fix_sql: creation.as_ref().map(|creation| creation.fix_sql.clone()),
            app_fix: creation.as_ref().map(|_| "SQLAlchemy: Index(…, postgresql_using=\"gin\").".to_string()),
            risk: format!(
                "A GIN index makes writes to the column slower, as every element is an entry.{}",
                creation.as_ref().map(|creation| format!(" {}", creation.risk)).unwrap_or_default()
            ),
            rollback: match &creation {
                Some(creation) => Rollback::Sql(creation.rollback_sql.clone()),
                None => Rollback::None,
            },
            verify_sql: creation.map(|creation| creation.verify_sql),
            object: name.to_string(),
        });
    }
    Ok(findings)
}

/// The column that a btree is on and a GIN index should be.
fn searched_column<'a>(catalog: &Catalog, table: &'a Table, index: &Index) -> Option<&'a Column> {
    let [key] = index.keys.as_slice() else { return None };
    let column = table.column(key.attribute)?;
    let type_ = catalog.type_of(catalog.base_type(column.type_oid))?;
    let composite = type_.category == 'A' || type_.name == "jsonb" || type_.name == "tsvector";
    let served = table.indexes.iter().any(|other| {
        other.is_usable() && &*other.method == "gin" && other.key_attributes().any(|key| key == column.number)
    });
    let judged = &*index.method == "btree"
        && index.is_usable()
        && !index.unique
        && index.parent.is_none()
        && table.is_maintained();
    (composite && judged && !served).then_some(column)
}

fn is_only_key(table: &Table, index: &Index, name: &crate::facts::Name) -> bool {
    index.keys.len() == 1
        && index.key_attributes().all(|number| table.column(number).is_some_and(|column| column.name == *name))
}
