//! What the catalog knows of the relations in a plan.

use crate::advice::index_selection::Options;
use crate::db::{self, guarded};
use crate::facts::plan::{Conjunct, Operand, OperandKind, Plan, conjuncts};
use crate::facts::{
    Catalog, Database, Explained, IndexAdvice, Name, ParameterOrigin, PlanOrigin, Table, planned_functions,
    planned_tables, planner_settings,
};
use crate::measure::index_advice::{self, Origin, Parameters, Weight};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// For the indexes of a plan from elsewhere.
const SEARCH: Duration = Duration::from_secs(2);
/// Scans of such a plan for which indexes are looked for.
const MOST_SCANS: usize = 8;
/// Of the plan's time or cost; what takes less is not worth an index.
const LEAST_SHARE: f64 = 0.01;
/// Of one scan that are looked at; planning takes the square of their number.
const MOST_CONDITIONS: usize = 32;

pub fn with_catalog(plan: Plan, origin: PlanOrigin, catalog: &Catalog) -> Explained {
    let tables = tables(&plan, catalog);
    let indexes = indexes(&plan, &tables, catalog);
    // What holds for a partition, such as row security, may be said of the table above.
    let with_ancestors = |oid: &u32| std::iter::successors(Some(*oid), |oid| catalog.known(*oid)?.parent);
    let known: BTreeSet<u32> = tables.iter().flatten().flat_map(with_ancestors).collect();
    Explained {
        statistics: planned_tables(&Vec::from_iter(known)),
        functions: planned_functions(&function_names(&plan)),
        settings: planner_settings(),
        plan,
        origin,
        text: None,
        parameters: ParameterOrigin::None,
        values: Vec::new(),
        write: None,
        tables,
        indexes,
        trials: Vec::new(),
        samples: Vec::new(),
        scan_of_step: Vec::new(),
        scan_of_query: Vec::new(),
    }
}

/// A plan from elsewhere, with what its relations look like here, and indexes that its scans would profit from.
pub fn given(plan: Plan, database: &Database, catalog: &Catalog) -> (Explained, IndexAdvice) {
    let mut explained = with_catalog(plan, PlanOrigin::Given, catalog);
    let plan = &explained.plan;
    let mut scans: Vec<usize> = (0..plan.nodes.len())
        .filter(|node| plan.nodes[*node].relation.is_some() && plan.share(*node) >= LEAST_SHARE)
        .collect();
    scans.sort_by(|a, b| plan.share(*b).total_cmp(&plan.share(*a)).then(a.cmp(b)));
    let (scans, queries): (Vec<usize>, Vec<String>) = scans
        .into_iter()
        .filter_map(|node| Some((node, scan_as_query(&explained, node, catalog)?)))
        .take(MOST_SCANS)
        .unzip();
    let request = index_advice::Request {
        origin: Origin::Conditions(queries.clone()),
        weigh_by: Weight::Calls,
        parameters: Parameters::Sampled,
        max_queries: MOST_SCANS as u32,
        time_limit: SEARCH,
        options: Options { drop_indexes: false, ..Options::default() },
        search_path: c"pg_catalog, pg_temp",
    };
    // What may not be read or is gone by now gets no advice.
    let advised = (!queries.is_empty()).then(|| guarded(|| index_advice::advise(request, database, catalog)).ok());
    let advice = advised.flatten().unwrap_or_else(IndexAdvice::none);
    let scan_of = |text: &str| queries.iter().position(|query| query == text).map(|place| scans[place]);
    explained.scan_of_query = advice.queries.iter().filter_map(|query| scan_of(&query.text)).collect();
    explained.scan_of_step = scans_of_steps(&explained, &advice, catalog);
    (explained, advice)
}

/// The scan of its table that takes most, for each step of the advice.
pub fn scans_of_steps(explained: &Explained, advice: &IndexAdvice, catalog: &Catalog) -> Vec<Option<usize>> {
    let plan = &explained.plan;
    let scan_of = |table: u32| {
        let reads = |node: &usize| {
            let scanned = explained.tables[*node];
            scanned.is_some_and(|scanned| is_part_of(scanned, table, catalog)) && plan.nodes[*node].relation.is_some()
        };
        let scans = (0..plan.nodes.len()).filter(reads);
        scans.max_by(|a, b| plan.share(*a).total_cmp(&plan.share(*b)).then(b.cmp(a)))
    };
    advice.selection.steps.iter().map(|step| scan_of(step.candidate.table)).collect()
}

fn is_part_of(table: u32, whole: u32, catalog: &Catalog) -> bool {
    let parent = |oid: &u32| catalog.known(*oid).and_then(|table| table.parent);
    std::iter::successors(Some(table), parent).any(|oid| oid == whole)
}

fn tables(plan: &Plan, catalog: &Catalog) -> Vec<Option<u32>> {
    let mut by_name = HashMap::<&str, Vec<&Table>>::new();
    for table in catalog.all_tables() {
        by_name.entry(table.name.name.raw()).or_default().push(table);
    }
    let mut tables: Vec<Option<u32>> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        db::check_for_interrupts();
        let named = node.relation.as_ref().and_then(|relation| {
            let mut candidates = by_name.get(relation.name.as_str())?.iter().filter(|table| match &relation.schema {
                Some(schema) => table.name.schema.raw() == schema,
                None => true,
            });
            // Of several tables of the name none is the right one for certain.
            let table = candidates.next()?;
            candidates.next().is_none().then_some(table.oid)
        });
        // The bitmap's index is of the table that the heap scan above reads.
        let inherited = || match node.kind.as_str() {
            "Bitmap Index Scan" | "BitmapAnd" | "BitmapOr" => node.parent.and_then(|parent| tables[parent]),
            _ => None,
        };
        tables.push(named.or_else(inherited));
    }
    tables
}

fn indexes(plan: &Plan, tables: &[Option<u32>], catalog: &Catalog) -> Vec<Option<u32>> {
    let index = |(node, table): (&crate::facts::plan::Node, &Option<u32>)| {
        let (name, table) = (node.index.as_ref()?, catalog.known((*table)?)?);
        table.indexes.iter().find(|index| index.name.raw() == name).map(|index| index.oid)
    };
    plan.nodes.iter().zip(tables).map(index).collect()
}

fn function_names(plan: &Plan) -> Vec<String> {
    let mut names = BTreeSet::new();
    // Partitions and arms of a UNION repeat each other.
    let mut read = HashSet::new();
    for node in &plan.nodes {
        names.extend(node.function.clone());
        let outputs = node.output.iter().map(String::as_str).filter(|text| text.contains('('));
        let texts = node.conditions().chain(outputs).filter(|text| read.insert(*text));
        for conjunct in texts.flat_map(conjuncts) {
            for function in conjunct.functions() {
                let bare = function.rsplit('.').next().unwrap_or(function);
                names.insert(bare.trim_matches('"').to_string());
            }
        }
    }
    names.into_iter().collect()
}

/// The scan as a query of its own, made of the names of its table and columns alone: the text of a plan from elsewhere may
/// be anybody's, and planning runs code.
fn scan_as_query(explained: &Explained, number: usize, catalog: &Catalog) -> Option<String> {
    let node = explained.node(number);
    node.relation.as_ref()?;
    let table = catalog.known(explained.tables[number]?)?;
    let texts = [&node.filter, &node.index_cond, &node.recheck_cond];
    let mut conditions = Vec::new();
    for conjunct in texts.into_iter().flatten().flat_map(|text| conjuncts(text)) {
        if conditions.len() == MOST_CONDITIONS {
            break;
        }
        let parameter = conditions.len() + 1;
        conditions.extend(comparison(&conjunct, table, parameter));
    }
    conditions.sort();
    conditions.dedup();
    (!conditions.is_empty()).then(|| format!("select * from {} where {}", table.name, conditions.join(" and ")))
}

/// `column operator $n`, for the operators that every btree knows.
fn comparison(conjunct: &Conjunct, table: &Table, parameter: usize) -> Option<String> {
    const OPERATORS: [&str; 5] = ["=", "<", "<=", ">", ">="];
    let operator = OPERATORS.into_iter().find(|operator| conjunct.operator.as_deref() == Some(operator))?;
    let right = conjunct.right.as_ref()?;
    let column = plain_column(&conjunct.left, table)?;
    let is_value = matches!(right.kind, OperandKind::Constant(_) | OperandKind::Parameter(_));
    is_value.then(|| format!("{column} operator(pg_catalog.{operator}) ${parameter}"))
}

fn plain_column<'a>(operand: &Operand, table: &'a Table) -> Option<&'a Name> {
    match &operand.kind {
        OperandKind::Column { name, .. } => {
            table.columns.iter().map(|column| &column.name).find(|column| column.raw() == name)
        }
        // text and varchar are compared through a cast that an index does not mind.
        OperandKind::Cast { of, to } if to == "text" => plain_column(of, table),
        _ => None,
    }
}
