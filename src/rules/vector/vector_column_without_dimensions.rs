use crate::advice::vector_column::{DEFAULT_HNSW, has_usable_index, read_of, stored_bytes, type_text, ways};
use crate::advice::vector_index::{choose, of_pgvector};
use crate::db::quote_literal;
use crate::facts::vector::{Element, Key, VectorColumn};
use crate::facts::{Facts, Namer, TableKind};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "vector_column_without_dimensions",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The type of a column is vector, halfvec or sparsevec without a number of dimensions, or a domain, and no index is made \
                of a cast of it.",
    effect: "An index on the column cannot be created; and vectors of a wrong number of dimensions are stored without an error, \
             until a search fails on them.",
    workaround: "Give the type its dimensions, or index a cast to a type with dimensions and use the same cast in the queries.",
    sources: &[
        "https://github.com/pgvector/pgvector#can-i-store-vectors-with-different-dimensions-in-the-same-column",
        "Measured: ALTER TYPE vector(n) writes the table anew; back to vector does not.",
    ],
    options: &[OptionSpec::bytes(
        "max_rewrite_bytes",
        Bytes::GIB,
        "up to this size of the table the fix is to write it anew with the dimensions in the type",
    )],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "all vectors agree",
            setup: "create extension vector; create table t (id int primary key, embedding vector); insert into t select g, \
                    array[g, 1, 2]::vector from generate_series(1, 100) g; create table h (\"Ü\" halfvec, s sparsevec); insert into h \
                    values ('[1,2]', '{1:1}/7'), (null, '{}/7')",
            finds: 3,
            fix_clears: true,
        },
        Case {
            name: "pgvector in a schema of its own, a partitioned table",
            setup: "create schema ext; create extension vector schema ext; create table p (id int, e ext.vector) partition by range \
                    (id); create table p_1 partition of p for values from (0) to (9); insert into p values (1, '[1,2]')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "nothing is stored yet, or too much to write it anew",
            setup: "create extension vector; create table empty (embedding vector); create table t (embedding vector); insert into t \
                    values ('[1]'); select dbre.configure_rule('vector_column_without_dimensions', options => \
                    '{\"max_rewrite_bytes\": 1000}')",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "too much to write it anew, and an index is worth it",
            setup: "create extension vector; create table t (embedding vector); insert into t select (select array_agg(sin(g * d)) from \
                    generate_series(1, 600) d)::vector from generate_series(1, 2000) g; analyze t; select \
                    dbre.configure_rule('vector_column_without_dimensions', options => '{\"max_rewrite_bytes\": 1000}')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "dimensions in the type, an index on a cast, vectors of several dimensions",
            setup: "create extension vector; create table t (a vector(3), b vector, c vector, d bit(3)); insert into t (a, b, c) values \
                    ('[1,2,3]', '[1,2]', '[1]'), ('[1,2,3]', '[1,2]', '[1,2]'); create index on t using hnsw ((b::vector(2)) \
                    vector_l2_ops)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let without = vectors.judged().filter(|column| {
        let several = column.sample.as_ref().is_some_and(|sample| sample.dimensions.len() > 1);
        // vector_dimensions_mixed tells of several.
        column.dimensions.is_none() && column.element != Element::Bit && !has_usable_index(column) && !several
    });
    let mut namer = facts.relation_names().namer();
    Ok(without.map(|column| finding(facts, options, &mut namer, column)).collect())
}

fn finding(facts: &Facts, options: &Options, namer: &mut Namer, column: &VectorColumn) -> Finding {
    let vectors = facts.vectors();
    let stored = column.known_dimensions();
    let dimensions = stored.or(vectors.goal.dimensions.filter(|_| column.rows == 0.0));
    let (table, name, bytes) = (&column.table_name, &column.name, stored_bytes(column));
    let mut finding = Finding {
        severity: if column.rows == 0.0 { Severity::low } else { RULE.severity },
        object: column.object(),
        weight: bytes.0,
        summary: match stored {
            Some(stored) => {
                format!("Column {} has no dimensions in its type: its vectors have {stored}", column.object())
            }
            None => format!("Column {} has no dimensions in its type", column.object()),
        },
        cause: cause(column),
        evidence: object! {
            "type": column.element.name(),
            "domain": column.domain,
            "dimensions_stored": stored,
            "sampled_rows": column.sample.as_ref().map(|sample| sample.rows),
            "whole_table_read": column.sample.as_ref().map(|sample| sample.whole),
            "table_bytes": bytes.0,
        },
        app_fix: Some(match dimensions {
            Some(dimensions) => format!(
                "In the model, pgvector.sqlalchemy: {}({dimensions}) instead of {0}() for {name}; or the autogenerated migration \
                 takes the dimensions away again.",
                model_type(column.element)
            ),
            None => format!(
                "Declare the dimensions of your model's embeddings in the type of {name}: {}(n).",
                model_type(column.element)
            ),
        }),
        ..Finding::that_changes_nothing()
    };
    let (Some(extension), Some(dimensions)) = (&vectors.extension, dimensions) else { return finding };
    let cast = Key::Cast { element: column.element, dimensions };
    let alternatives = ways(vectors, column, &[cast]);
    if !alternatives.is_empty() {
        finding.evidence.insert("alternative_without_rewrite".to_string(), alternatives.into());
    }
    let kind = facts.catalog().known(column.table).map(|table| table.kind);
    let alterable = matches!(kind, Some(TableKind::Plain | TableKind::Partitioned)) && column.partition_of.is_none();
    let small = bytes.0 <= options.bytes("max_rewrite_bytes");
    if alterable && small && !column.domain {
        let new_type = type_text(extension, column.element, dimensions);
        let old_type = of_pgvector(extension, column.element.name());
        finding.fix_sql = Some(format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {new_type};"));
        finding.rollback = Rollback::Sql(format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {old_type};"));
        finding.verify_sql = Some(format!(
            "SELECT atttypmod = {dimensions} FROM pg_catalog.pg_attribute WHERE attrelid = {}::pg_catalog.regclass AND attname = {};",
            quote_literal(&table.to_string()),
            quote_literal(name.raw()),
        ));
        finding.risk = format!(
            "ACCESS EXCLUSIVE on the table while it is written anew with its indexes ({bytes} of table): reads and writes wait. If a \
             row has other dimensions, or a view uses the column, it fails and changes nothing."
        );
        return finding;
    }
    // No index is missing where too few rows are compared.
    let fix = choose(vectors, column, None).chosen().and_then(|chosen| chosen.fix(facts, namer, column));
    if let Some(fix) = fix.filter(|_| stored.is_some()) {
        let why = format!(
            "ALTER TYPE would write {bytes} anew under ACCESS EXCLUSIVE; an index on the cast is built while reads and writes go on. It \
             fails on a row of other dimensions."
        );
        finding.evidence.extend(fix.evidence);
        finding.app_fix = fix.app_fix;
        finding.fix_sql = Some(fix.fix_sql);
        finding.rollback = Rollback::Sql(fix.rollback_sql);
        finding.verify_sql = Some(fix.verify_sql);
        finding.risk = format!("{why} {}", fix.risk);
    }
    finding
}

fn cause(column: &VectorColumn) -> String {
    let read = match &column.sample {
        Some(sample) if sample.dimensions.len() == 1 => {
            format!(" The vectors of {} agree in their dimensions.", read_of(sample))
        }
        Some(_) => " Nothing is stored that would tell which it should be.".to_string(),
        None => String::new(),
    };
    let method = DEFAULT_HNSW.name();
    match column.domain {
        true => format!(
            "Its type is a domain, whose dimensions an index does not see: only a cast of it can be indexed by {method}.{read}"
        ),
        false => format!(
            "It was declared as {} alone, which takes vectors of any dimensions; CREATE INDEX … USING {method} fails on it \
             (column does not have dimensions).{read}",
            column.element.name()
        ),
    }
}

fn model_type(element: Element) -> &'static str {
    match element {
        Element::Vector => "Vector",
        Element::Halfvec => "HALFVEC",
        Element::Bit => "BIT",
        Element::Sparsevec => "SPARSEVEC",
    }
}
