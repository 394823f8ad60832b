use crate::advice::vector_column::{has_usable_index, stored_bytes, ways};
use crate::advice::vector_index::choose;
use crate::facts::vector::{Element, Key, VectorColumn};
use crate::facts::{Facts, Namer};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

/// Of the subvector that is offered: models whose vectors may be shortened are trained for such numbers.
const SHORTENED: u32 = 1024;

pub static RULE: Rule = Rule {
    id: "vector_dimensions_not_indexable",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The vectors of a column have more dimensions than HNSW and IVFFlat index (vector 2,000, halfvec 4,000, bit 64,000; \
                sparsevec: 1,000 non-zero elements), and no index is made of something shorter.",
    effect: "No index on the column itself is possible: every search compares the query with all rows.",
    workaround: "Index a cast to halfvec (up to 4,000 dimensions), bits (binary_quantize(), up to 64,000) or the first dimensions \
                 (subvector(), for models that allow that), and order what that finds by the whole vectors.",
    sources: &[
        "https://github.com/pgvector/pgvector#can-i-index-vectors-with-more-than-2000-dimensions",
        "Measured: VECTOR_FACTS, limits of pgvector 0.8",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "3,072 dimensions",
            setup: "create extension vector; create table t (id int, embedding vector(3072)); insert into t select g, (select \
                    array_agg(sin(g * 37 + d)) from generate_series(1, 3072) d)::vector from generate_series(1, 1000) g; analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "5,000 dimensions, of which the type says nothing; a sparse vector of many elements",
            setup: "create extension vector; create table t (id int, embedding vector, s sparsevec(5000)); insert into t select g, (select \
                    array_agg(g + d) from generate_series(1, 5000) d)::vector from generate_series(1, 3) g; update t set s = (select \
                    array_agg(d) from generate_series(1, 5000) d)::vector(5000)::sparsevec(5000) where id = 1",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "as many as can be indexed, or an index on bits",
            setup: "create extension vector; create table t (a vector(2000), b halfvec(4000), c vector(3072), s sparsevec(100000)); insert \
                    into t (s) values ('{1:1,2:2}/100000'); create index on t using hnsw ((binary_quantize(c)::bit(3072)) \
                    bit_hamming_ops)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let mut namer = facts.relation_names().namer();
    let too_long = facts.vectors().judged().filter(|column| !has_usable_index(column));
    Ok(too_long.filter_map(|column| finding(facts, &mut namer, column)).collect())
}

/// What is counted of a column's vectors.
fn indexed_dimensions(column: &VectorColumn) -> Option<u32> {
    match column.element {
        Element::Sparsevec => Some(column.sample.as_ref()?.most_nonzero),
        _ => column.known_dimensions(),
    }
}

fn finding(facts: &Facts, namer: &mut Namer, column: &VectorColumn) -> Option<Finding> {
    let vectors = facts.vectors();
    let limit = column.element.most_indexable_dimensions();
    let has = indexed_dimensions(column).filter(|dimensions| *dimensions > limit)?;
    let what = if column.element == Element::Sparsevec { "non-zero elements" } else { "dimensions" };
    let keys = match column.element {
        Element::Vector | Element::Halfvec => vec![
            Key::Cast { element: Element::Halfvec, dimensions: has },
            Key::Subvector { first: 1, dimensions: SHORTENED.min(has) },
            Key::BinaryQuantize { dimensions: has },
        ],
        Element::Bit | Element::Sparsevec => Vec::new(),
    };
    let mut finding = Finding {
        severity: if column.searches.is_empty() { Severity::low } else { RULE.severity },
        object: column.object(),
        weight: stored_bytes(column).0,
        summary: format!(
            "Vectors of {} have {has} {what}: an index on a {} takes {limit}",
            column.object(),
            column.element.name()
        ),
        cause: format!(
            "HNSW and IVFFlat keep each vector within one page, which limits a {} to {limit} {what}. Whatever reads {} by distance reads \
             all of it.",
            column.element.name(),
            column.table_name
        ),
        evidence: object! {
            "type": column.element.name(),
            "dimensions": has,
            "most_indexable_dimensions": limit,
            "rows_estimated": column.rows,
            "table_bytes": stored_bytes(column).0,
            "alternatives": ways(vectors, column, &keys),
        },
        app_fix: match column.element {
            Element::Sparsevec => Some(
                "Keep fewer elements of each vector: those of least weight say least. SPLADE and the like can be cut to a few hundred."
                    .to_string(),
            ),
            _ => None,
        },
        ..Finding::that_changes_nothing()
    };
    let advice = choose(vectors, column, None);
    let chosen =
        advice.chosen().filter(|chosen| chosen.design.as_ref().is_some_and(|design| design.key != Key::Column));
    let Some(fix) = chosen.and_then(|chosen| chosen.fix(facts, namer, column)) else {
        finding.cause.push_str(&format!(" {}", advice.why));
        return Some(finding);
    };
    finding.cause.push_str(&format!(" {}", advice.why));
    finding.evidence.extend(fix.evidence);
    finding.app_fix = fix.app_fix;
    finding.fix_sql = Some(fix.fix_sql);
    finding.rollback = Rollback::Sql(fix.rollback_sql);
    finding.verify_sql = Some(fix.verify_sql);
    finding.risk = fix.risk;
    Some(finding)
}
