use crate::advice::plan_conditions::{called, calls, computed, functions};
use crate::advice::plan_weight::{Explains, finding, relation, shown};
use crate::facts::plan::{Conjunct, conjuncts};
use crate::facts::{Facts, Function};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::function_per_row::rows_tested;
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "parallel_unsafe_function",
    category: "plan",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A large table is scanned by one process, parallel plans are allowed, and a function that is called on its rows is not PARALLEL \
                SAFE, which rules a parallel scan out.",
    effect: "CREATE FUNCTION makes functions PARALLEL UNSAFE where it is not told otherwise; one of them in a query is enough for the \
             whole query to run in one process.",
    workaround: "If the function changes nothing (no writes, sequences, settings, temporary tables, client state), declare it PARALLEL \
                 SAFE.",
    sources: &["https://www.postgresql.org/docs/17/parallel-safety.html"],
    options: &[
        OptionSpec::bytes("min_table_bytes", 32 * Bytes::MIB, "Scans of smaller tables are left alone."),
        OptionSpec::number(
            "min_share",
            (0.3, "of the query's time or cost"),
            (0.0, 1.0),
            "Scans that take less are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a function of a user that does not say",
            setup: "create function score(v text) returns int immutable language plpgsql as $$ begin return ascii(v); end $$; create \
                    table t (id int, v text); insert into t select g, repeat(md5(g::text), 10) from generate_series(1, 120000) g; vacuum \
                    analyze t; create table example as select 'select * from t where score(v) = 1' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it is PARALLEL SAFE",
            setup: "create function score(v text) returns int immutable parallel safe language plpgsql as $$ begin return ascii(v); end \
                    $$; create table t (id int, v text); insert into t select g, repeat(md5(g::text), 10) from generate_series(1, \
                    120000) g; vacuum analyze t; create table example as select 'select * from t where score(v) = 1' as query, false \
                    as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let parallel = plan.nodes.iter().any(|node| node.kind.starts_with("Gather"));
    // These are never parallel.
    let writes = plan.nodes.iter().any(|node| ["ModifyTable", "LockRows"].contains(&node.kind.as_str()));
    let workers = explained.setting("max_parallel_workers_per_gather").unwrap_or(0.0);
    if parallel || writes || explained.write.is_some() || workers == 0.0 {
        return Ok(Vec::new());
    }
    let scans = (0..plan.nodes.len()).filter(|node| plan.nodes[*node].kind == "Seq Scan");
    Ok(scans.filter_map(|scan| judge(facts, options, scan)).collect())
}

fn judge(facts: &Facts, options: &Options, scan: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let table = facts.catalog().known(explained.tables[scan]?)?;
    if table.bytes().0 < options.bytes("min_table_bytes") {
        return None;
    }
    // One anywhere in the query is enough; that on the way of the table's rows is told of.
    let way: Vec<usize> = std::iter::once(scan).chain(plan.ancestors(scan)).collect();
    let found = way.iter().find_map(|node| {
        let conditions: Vec<Conjunct> = explained.node(*node).conditions().flat_map(conjuncts).collect();
        let outputs = computed(plan, *node);
        let calls = calls(&conditions).into_iter().chain(calls(&outputs));
        let functions = calls.filter_map(|call| unsafe_function(&functions(explained, called(call)?)));
        functions.max_by(|a, b| a.cost.total_cmp(&b.cost)).map(|function| (*node, function))
    });
    let (node, function) = found?;
    let explains = Explains::by_branch(explained, node);
    if explains.share < options.number("min_share") {
        return None;
    }
    let mut finding = finding(facts, scan, explains)?;
    finding.severity = Severity::low;
    finding.summary = format!(
        "{} is not PARALLEL SAFE: one process scans {} of {}, {}",
        function.signature,
        table.bytes(),
        relation(facts, scan)?,
        explains.told()
    );
    finding.cause = format!(
        "The query calls {} on {} rows. The planner makes no parallel plan of a query that has a function which may do what only \
         the leader can. Whether this one is safe has to be read in its source: it must not write, use sequences, change settings, \
         access temporary tables or keep state. If so: ALTER FUNCTION {} PARALLEL SAFE.",
        function.signature,
        shown(rows_tested(facts, scan)),
        function.signature
    );
    finding.evidence.extend(object! {
        "function": function.signature,
        "function_language": function.language,
        "table_bytes": table.bytes(),
        "max_parallel_workers_per_gather": explained.settings.get("max_parallel_workers_per_gather"),
    });
    Some(finding)
}

/// Of several overloads none is safe, and none is the server's own, which are what they have to be.
fn unsafe_function<'a>(functions: &[&'a Function]) -> Option<&'a Function> {
    let first = functions.first()?;
    let can_be_declared = |function: &&Function| !function.parallel_safe && function.schema != "pg_catalog";
    functions.iter().all(can_be_declared).then_some(*first)
}
