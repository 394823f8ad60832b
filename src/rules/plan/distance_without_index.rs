use crate::advice::plan_weight::{Basis, Explains, finding, relation, shown};
use crate::facts::plan::{Operand, OperandKind, Plan, conjuncts};
use crate::facts::{Column, Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::missing_index;

pub static RULE: Rule = Rule {
    id: "distance_without_index",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_rows rows, or as many as take slow_ms, are sorted by a distance of vectors (<->, <=>, <#>, <+>, <~>, <%>): no index was used for the \
                nearest. Where the column has an index for another operator, that is named.",
    effect: "The distance to every row is computed, which takes longer with each row and dimension.",
    workaround: "An HNSW index with the operator class of the query's operator, ORDER BY the bare distance to a value, ascending, with a \
                 LIMIT. Its results are approximate: measure the recall.",
    sources: &["https://github.com/pgvector/pgvector#indexing", "https://github.com/pgvector/pgvector#querying"],
    options: &[
        OptionSpec::number(
            "min_rows",
            (5000.0, "rows"),
            (1.0, 1e12),
            "Of fewer the exact answer is quick; a tenth of it where the column has an index for another operator.",
        ),
        OptionSpec::number(
            "slow_ms",
            (50.0, "ms"),
            (0.0, 3_600_000.0),
            "What takes longer is told of however few rows there are.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Plan],
    cases: &[
        Case {
            name: "the nearest of 10,000 without an index",
            setup: "create extension vector; create table t (id int primary key, v vector(16)); insert into t select g, (select \
                    array_agg(random()) from generate_series(1, 16) where g > 0)::vector(16) from generate_series(1, 10000) g; vacuum \
                    analyze t; create table example as select format('select id from t order by v <=> %L limit 10', (select v from t \
                    where id = 7)) as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an index for another operator",
            setup: "create extension vector; create table t (id int primary key, v vector(16)); insert into t select g, (select \
                    array_agg(random()) from generate_series(1, 16) where g > 0)::vector(16) from generate_series(1, 10000) g; create \
                    index on t using ivfflat (v vector_l2_ops) with (lists = 10); vacuum analyze t; create table example as select \
                    format('select id from t order by v <=> %L limit 10', (select v from t where id = 7)) as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the index is used, or the table is small",
            setup: "create extension vector; create table t (id int primary key, v vector(16)); insert into t select g, (select \
                    array_agg(random()) from generate_series(1, 16) where g > 0)::vector(16) from generate_series(1, 10000) g; create \
                    index on t using hnsw (v vector_cosine_ops); create table few as select * from t where id < 1000; vacuum analyze \
                    t; analyze few; create table example as select format('(select id from t order by v <=> %L limit 10) union all \
                    (select id from few order by v <-> %1$L limit 5)', (select v from t where id = 7)) as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    let sorts = (0..plan.nodes.len()).filter(|node| plan.nodes[*node].kind == "Sort");
    Ok(sorts.filter_map(|sort| judge(facts, options, sort)).collect())
}

/// A finding of this rule tells of the scan.
pub fn tells_of(facts: &Facts, scan: usize) -> bool {
    let plan = &facts.explained().plan;
    let sort = plan.ancestors(scan).find(|above| plan.nodes[*above].kind == "Sort");
    let told = sort.and_then(|sort| judge(facts, &Options::defaults(&RULE), sort));
    told.is_some_and(|finding| finding.object == plan.path(scan))
}

fn judge(facts: &Facts, options: &Options, sort: usize) -> Option<Finding> {
    let explained = facts.explained();
    let plan = &explained.plan;
    let child = *plan.nodes[sort].children.first()?;
    let rows = plan.total_rows(child).unwrap_or(plan.nodes[child].rows);
    let distance = Distance::of(plan.nodes[sort].sort_key.first()?)?;
    let scan = scan_of(facts, sort, &distance.column)?;
    let table = facts.catalog().known(explained.tables[scan]?)?;
    let column = table.columns.iter().find(|column| column.name.raw() == distance.column)?;
    let wanted = operator_class(facts, column, &distance.operator)?;
    let others = classes(facts, table, column);
    // An index that the query misses is a mistake long before one is missing.
    let mistaken = !others.is_empty() && others.iter().all(|(_, class)| *class != wanted);
    let least = options.number("min_rows") / if mistaken { 10.0 } else { 1.0 };
    let explains = Explains::by_branch(explained, sort);
    let slow = explains.basis == Basis::Measured && explains.part() >= options.number("slow_ms");
    if rows < least && !slow {
        return None;
    }
    let mut finding = finding(facts, scan, explains)?;
    finding.summary = format!(
        "The distances of {} rows of {} to a vector were computed and sorted: {}",
        shown(rows),
        relation(facts, scan)?,
        explains.told()
    );
    let same = others.iter().find(|(_, class)| *class == wanted);
    finding.cause = match (same, others.first()) {
        (Some((index, _)), _) => format!(
            "{index} has operator class {wanted}, which {} wants, and was not used. {}",
            distance.operator,
            why_not(plan, sort, &distance)
        ),
        (None, Some((index, class))) => format!(
            "{index} has operator class {class}; {} is found only by one with {wanted}. Either the query takes the operator of the index \
             ({}), if that is the distance the vectors were made for, or the index has to be of the other class.",
            distance.operator,
            operator_of(class).unwrap_or("another"),
        ),
        (None, None) => format!(
            "No index on {} is for distances; {} is found by one with {wanted}.",
            column.name, distance.operator
        ),
    };
    finding.evidence.extend(object! {
        "rows_sorted": rows.round(),
        "operator": distance.operator,
        "operator_class_wanted": wanted,
        "indexes": others.iter().map(|(name, class)| format!("{name} ({class})")).collect::<Vec<_>>(),
    });
    let is_vector_index = |place: &usize| {
        let step = &facts.index_advice().selection.steps[*place];
        ["hnsw", "ivfflat"].contains(&step.candidate.method.as_str())
    };
    Some(match explained.steps_of(scan).find(is_vector_index) {
        Some(place) => missing_index::fixing(facts, place, finding),
        None => finding,
    })
}

struct Distance {
    column: String,
    operator: String,
    /// Not the bare distance: an expression around it, or DESC.
    plain: bool,
    /// To a value that is the same for all rows.
    to_value: bool,
}

const OPERATORS: [&str; 6] = ["<->", "<=>", "<#>", "<+>", "<~>", "<%>"];

impl Distance {
    /// `((v <=> '[…]'::vector)) DESC`
    fn of(sort_key: &str) -> Option<Distance> {
        let key = sort_key.strip_suffix(" DESC").unwrap_or(sort_key);
        let ascending = key.len() == sort_key.len();
        let conjunct = conjuncts(key).into_iter().next()?;
        let bare = conjunct.operator.as_deref().filter(|operator| is_distance(operator));
        if let (Some(operator), Some(right)) = (bare, &conjunct.right) {
            let (column, other) = column_and_other(&conjunct.left, right)?;
            let to_value = crate::advice::plan_conditions::is_constant(other);
            return Some(Distance { column, operator: symbol(operator), plain: ascending, to_value });
        }
        let within = [Some(&conjunct.left), conjunct.right.as_ref()].into_iter().flatten().find_map(distance_within)?;
        Some(Distance { plain: false, ..within })
    }
}

fn symbol(operator: &str) -> String {
    operator.rsplit('.').next().unwrap_or(operator).to_string()
}

fn is_distance(operator: &str) -> bool {
    OPERATORS.contains(&symbol(operator).as_str())
}

fn distance_within(operand: &Operand) -> Option<Distance> {
    match &operand.kind {
        OperandKind::Operation { operator, operands } if is_distance(operator) && operands.len() == 2 => {
            let (column, other) = column_and_other(&operands[0], &operands[1])?;
            let to_value = crate::advice::plan_conditions::is_constant(other);
            Some(Distance { column, operator: symbol(operator), plain: true, to_value })
        }
        OperandKind::Operation { operands, .. } | OperandKind::Call { arguments: operands, .. } => {
            operands.iter().find_map(distance_within)
        }
        OperandKind::Cast { of, .. } => distance_within(of),
        _ => None,
    }
}

fn column_and_other<'a>(left: &'a Operand, right: &'a Operand) -> Option<(String, &'a Operand)> {
    match (&left.kind, &right.kind) {
        (OperandKind::Column { name, .. }, _) => Some((name.clone(), right)),
        (_, OperandKind::Column { name, .. }) => Some((name.clone(), left)),
        _ => None,
    }
}

/// The scan below that reads a table with such a column.
fn scan_of(facts: &Facts, sort: usize, column: &str) -> Option<usize> {
    let explained = facts.explained();
    explained.plan.subtree(sort).find(|node| {
        let table = explained.tables[*node].and_then(|oid| facts.catalog().known(oid));
        let scans = explained.node(*node).relation.is_some();
        scans && table.is_some_and(|table| table.columns.iter().any(|known| known.name.raw() == column))
    })
}

/// pgvector's own, by type and operator.
fn operator_class(facts: &Facts, column: &Column, operator: &str) -> Option<String> {
    let catalog = facts.catalog();
    let name = &catalog.type_of(catalog.base_type(column.type_oid))?.name;
    let name = name.rsplit('.').next()?;
    let distance = match (name, operator) {
        ("bit", "<~>") => "hamming",
        ("bit", "<%>") => "jaccard",
        ("vector" | "halfvec" | "sparsevec", "<->") => "l2",
        ("vector" | "halfvec" | "sparsevec", "<=>") => "cosine",
        ("vector" | "halfvec" | "sparsevec", "<#>") => "ip",
        ("vector" | "halfvec" | "sparsevec", "<+>") => "l1",
        _ => return None,
    };
    Some(format!("{name}_{distance}_ops"))
}

fn operator_of(class: &str) -> Option<&'static str> {
    let distances = [
        ("_l2_", "<->"),
        ("_cosine_", "<=>"),
        ("_ip_", "<#>"),
        ("_l1_", "<+>"),
        ("_hamming_", "<~>"),
        ("_jaccard_", "<%>"),
    ];
    distances.into_iter().find(|(part, _)| class.contains(part)).map(|(_, operator)| operator)
}

/// Usable indexes for nearest neighbours on the column, with their operator classes.
fn classes(facts: &Facts, table: &Table, column: &Column) -> Vec<(String, String)> {
    let vector =
        table.indexes.iter().filter(|index| index.is_usable() && ["hnsw", "ivfflat"].contains(&&*index.method));
    vector
        .filter_map(|index| {
            let key = index.keys.first().filter(|key| key.attribute == column.number)?;
            let class = facts.catalog().class(key.class)?;
            Some((table.index_name(index).to_string(), class.name.to_string()))
        })
        .collect()
}

fn why_not(plan: &Plan, sort: usize, distance: &Distance) -> &'static str {
    let limited = plan.ancestors(sort).any(|above| plan.nodes[above].kind == "Limit");
    if !distance.plain {
        "ORDER BY must be the bare distance, ascending: no arithmetic around it (1 - distance), no DESC."
    } else if !distance.to_value {
        "The distance must be to one value, not to another column: look the vector up first, in a subquery."
    } else if !limited {
        "Without a LIMIT all rows are wanted, in order: an index gives only the nearest few."
    } else {
        "The planner found filtering and sorting cheaper: a condition leaves few rows, or the LIMIT is large."
    }
}
