use super::ivfflat_built_on_few_rows::growth;
use crate::advice::vector_index::{Design, Rebuild, Setting, ivfflat_lists, probes_for};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "ivfflat_lists_outgrown",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The lists of an IVFFlat index are fewer or more than those for the rows that it has now (rows / 1000 up to a \
                million, the root of the rows beyond) by at least the factor. Low for too many. Not where it was built on far \
                fewer rows, which is another finding.",
    effect: "With too few lists each probe reads many rows: searches are slow. With too many each holds few: a search needs more \
             probes for the same recall, and compares the query with all centers first.",
    workaround: "Build it again with lists for the rows that there are.",
    sources: &["https://github.com/pgvector/pgvector#ivfflat"],
    options: &[
        OptionSpec::number("factor", (4.0, "times"), (1.0, 1e6), "How far lists must be off."),
        OptionSpec::number(
            "min_rows",
            (2000.0, "rows"),
            (0.0, 1e12),
            "Smaller indexes are not judged: their lists matter little.",
        ),
    ],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "pgvector's default of 100 lists for 3,000 rows",
            setup: "create extension vector; create table t (id int primary key, embedding vector(8)); insert into t select g, \
                    (select array_agg(random()) from generate_series(1, 8) where g > 0)::vector from generate_series(1, \
                    3000) g; create index on t using ivfflat (embedding vector_l2_ops); vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "one list for 9,000 rows",
            setup: "create extension vector; create table t (id int primary key, embedding vector(8)); insert into t select g, \
                    (select array_agg(random()) from generate_series(1, 8) where g > 0)::vector from generate_series(1, \
                    9000) g; create index on t using ivfflat (embedding vector_l2_ops) with (lists = 1); vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "about as many as there should be, or few rows",
            setup: "create extension vector; create table t (id int primary key, embedding vector(8)); insert into t select g, \
                    (select array_agg(random()) from generate_series(1, 8) where g > 0)::vector from generate_series(1, \
                    3000) g; create index on t using ivfflat (embedding vector_l2_ops) with (lists = 5); create table u as \
                    select * from t limit 500; create index on u using ivfflat (embedding vector_l2_ops); vacuum analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let Method::Ivfflat { lists } = index.method else { return None };
        let design = Design::of(column, index).filter(|_| index.valid && !index.partitioned)?;
        // That comes first, and brings lists for the rows with it.
        let aged = growth(column, index).is_some_and(|(_, growth)| growth >= 2.0);
        let wanted = ivfflat_lists(design.rows);
        let off = (f64::from(wanted) / f64::from(lists)).max(f64::from(lists) / f64::from(wanted));
        (!aged && design.rows >= options.number("min_rows") && off >= options.number("factor"))
            .then(|| finding(facts, (column, index), &design, (lists, wanted)))
    });
    Ok(findings.collect())
}

fn finding(
    facts: &Facts,
    (column, index): (&VectorColumn, &VectorIndex),
    design: &Design,
    (lists, wanted): (u32, u32),
) -> Finding {
    let goal = &facts.vectors().goal;
    let better = design.with_method(Method::Ivfflat { lists: wanted });
    let rebuild = Rebuild::with(facts, column, index, &better);
    let probes = |lists: u32| Setting::Probes(probes_for(lists, goal.recall));
    let (before, after) = (design.search_ms(&probes(lists)), better.search_ms(&probes(wanted)));
    let rows = Count(design.rows as u64).of("row");
    let few = lists < wanted;
    Finding {
        severity: if few { RULE.severity } else { Severity::low },
        object: index.name.to_string(),
        weight: index.bytes,
        summary: format!(
            "IVFFlat index {} has {} for {rows}: too {}, {wanted} would do",
            index.name,
            Count(lists.into()).of("list"),
            if few { "few" } else { "many" },
        ),
        cause: match few {
            true => format!(
                "A list holds about {}: each probe compares the query with all of them.",
                Count((design.rows / f64::from(lists)) as u64).of("row"),
            ),
            false => format!(
                "A list holds about {}, and a search compares the query with {lists} centers before it reads any; neighbors are \
                 spread over more lists than it probes.",
                Count((design.rows / f64::from(lists)) as u64).of("row"),
            ),
        },
        evidence: object! {
            "table": column.table_name.to_string(),
            "rows": design.rows as u64,
            "lists": lists,
            "lists_for_rows": wanted,
            "rows_per_list": rounded(design.rows / f64::from(lists)),
            "probes_for_target_recall": probes_for(lists, goal.recall),
            "probes_for_target_recall_after": probes_for(wanted, goal.recall),
            "target_recall": goal.recall,
            "index_bytes": Bytes(index.bytes),
            "basis": "lists measured in the index; probes and times estimated from one data set: dbre.vector_recall() measures",
        },
        impact: object! {
            "search_ms": change((rounded(before), "estimated"), (rounded(after), "estimated")),
            "index_bytes": change((index.bytes, "measured"), (better.size(), "estimated")),
        },
        fix_sql: Some(rebuild.fix_sql),
        app_fix: Some(format!("{} Set ivfflat.probes = {} with it.", rebuild.app_fix, probes_for(wanted, goal.recall))),
        risk: rebuild.risk,
        rollback: Rollback::Sql(rebuild.rollback_sql),
        verify_sql: Some(rebuild.verify_sql),
    }
}
