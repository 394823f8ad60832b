use super::simulation::*;
use super::*;
use crate::facts::query::{ConditionKind, Reference};

const EQUAL: ConditionKind = ConditionKind::Equality;
const RANGE: ConditionKind = ConditionKind::Range;

fn reference(table: u32, conditions: &[(i16, ConditionKind)], columns: &[i16]) -> Reference {
    Reference {
        table,
        conditions: conditions.iter().map(|(column, kind)| condition(*column, *kind)).collect(),
        columns: columns.to_vec(),
        ..Reference::default()
    }
}

fn workload(references: Vec<Vec<Reference>>) -> Workload {
    let queries = references.into_iter().map(|references| WorkloadQuery { weight: 1.0, shape: query(references) });
    Workload {
        queries: queries.collect(),
        tables: [(1, table(1e6)), (2, table(1e5)), (3, table(50.0))].into(),
        ..Workload::default()
    }
}

fn whole(mut reference: Reference) -> Reference {
    reference.whole_rows = true;
    reference
}

fn mixed() -> Workload {
    workload(vec![
        vec![whole(reference(1, &[(2, EQUAL), (5, RANGE)], &[2, 5]))],
        vec![reference(1, &[(4, EQUAL), (3, EQUAL)], &[3, 4, 6])],
        vec![
            whole(reference(1, &[(3, EQUAL)], &[3])),
            whole(reference(2, &[(2, ConditionKind::Join { table: 1 })], &[2])),
        ],
        vec![Reference { orders: vec![order(&[6])], ..whole(reference(2, &[(3, EQUAL)], &[3, 6])) }],
    ])
}

fn selected(workload: &Workload) -> Selection {
    select(workload, &mut Simulation::new(workload))
}

#[test]
fn equality_comes_before_the_range() {
    let workload = workload(vec![vec![whole(reference(1, &[(5, RANGE), (4, EQUAL)], &[4, 5]))]]);
    let selection = selected(&workload);
    let chosen: Vec<&Candidate> = selection.steps.iter().map(|step| &step.candidate).collect();
    assert_eq!(chosen, [&btree(1, &[4, 5], &[])]);
    assert!(selection.complete && selection.cost_after < selection.cost_before);
    assert_eq!(selection.queries[0].as_ref().map(|query| query.steps.clone()), Some(vec![0]));
}

#[test]
fn the_order_follows_the_equalities() {
    let ordered = Reference { orders: vec![order(&[6])], ..whole(reference(1, &[(5, EQUAL)], &[5, 6])) };
    let selection = selected(&workload(vec![vec![ordered]]));
    assert_eq!(selection.steps[0].candidate, btree(1, &[5, 6], &[]));
}

#[test]
fn one_index_serves_queries_that_begin_alike() {
    let references = |column| vec![whole(reference(1, &[(3, EQUAL), (column, EQUAL)], &[3, column]))];
    let selection = selected(&workload(vec![references(4), references(5), references(6)]));
    assert_eq!(selection.steps.len(), 1, "{:?}", selection.steps);
    assert_eq!(selection.steps[0].candidate.keys[0], key(3));
    assert_eq!(selection.steps[0].queries, [0, 1, 2]);
}

#[test]
fn a_covering_index_includes_what_is_read() {
    let selection = selected(&workload(vec![vec![reference(1, &[(6, EQUAL)], &[6, 7])]]));
    assert_eq!(selection.steps[0].candidate, btree(1, &[6], &[7]));
}

#[test]
fn a_shared_predicate_makes_a_partial_index() {
    let open = |column| {
        let predicates = vec!["c10 IS NULL".to_string()];
        vec![Reference { predicates, ..whole(reference(1, &[(column, EQUAL)], &[column, 10])) }]
    };
    let selection = selected(&workload(vec![open(4), open(4)]));
    assert_eq!(
        selection.steps[0].candidate,
        Candidate { predicate: Some("c10 IS NULL".into()), ..btree(1, &[4], &[]) }
    );
}

#[test]
fn a_pattern_of_one_query_makes_no_partial_index() {
    let matching = |column| {
        let predicates = vec!["(lower(c10) ~~ '%deploy%'::text)".to_string()];
        vec![Reference { predicates, ..whole(reference(1, &[(column, EQUAL)], &[column, 10])) }]
    };
    let selection = selected(&workload(vec![matching(4), matching(4)]));
    assert_eq!(selection.steps[0].candidate, btree(1, &[4], &[]));
}

#[test]
fn small_tables_and_columns_of_two_values_get_no_index() {
    let one_page = vec![whole(reference(3, &[(1, EQUAL)], &[1]))];
    let two_values = vec![whole(reference(1, &[(9, EQUAL)], &[9]))];
    let selection = selected(&workload(vec![one_page, two_values]));
    assert_eq!(selection.statistics.candidates, 0);
    assert_eq!(selection.cost_before, selection.cost_after);
}

#[test]
fn the_budget_is_kept_at_every_size() {
    let mut workload = mixed();
    let free = selected(&workload);
    let mut last = free.cost_before * 1.001;
    for percent in [0, 5, 20, 50, 80, 100] {
        workload.options.budget = Some(free.bytes * percent / 100);
        let selection = selected(&workload);
        assert!(selection.bytes <= free.bytes * percent / 100);
        assert_eq!(selection.bytes, selection.steps.iter().map(|step| step.bytes).sum::<u64>());
        assert!(selection.cost_after <= last, "{percent}%: {} after {last}", selection.cost_after);
        last = selection.cost_after;
    }
    assert!(last <= free.cost_after * 1.01);
}

#[test]
fn the_same_input_gives_the_same_selection() {
    let workload = mixed();
    assert_eq!(format!("{:?}", selected(&workload)), format!("{:?}", selected(&workload)));
}

#[test]
fn the_best_so_far_is_returned_when_time_is_up() {
    let workload = mixed();
    let all = selected(&workload);
    for most_plans in 0..all.statistics.plans {
        let mut planner = Simulation { most_plans, ..Simulation::new(&workload) };
        let selection = select(&workload, &mut planner);
        assert!(selection.statistics.plans <= most_plans);
        assert!(selection.cost_after <= selection.cost_before);
        assert!(!selection.complete, "after {most_plans} plans");
        let planned = selection.queries.iter().filter(|query| query.is_some()).count();
        assert_eq!(planned, most_plans.min(workload.queries.len()));
    }
    assert!(all.complete);
}

#[test]
fn an_index_that_costs_more_in_writes_than_it_saves_is_not_made() {
    let workload = mixed();
    let selection = select(&workload, &mut Simulation { write_share: 1.0, ..Simulation::new(&workload) });
    assert_eq!(selection.steps.len(), 0, "{:?}", selection.steps);
    let cheap = select(&workload, &mut Simulation { write_share: 1e-6, ..Simulation::new(&workload) });
    assert!(!cheap.steps.is_empty());
}

#[test]
fn no_table_gets_more_than_the_option_allows() {
    let mut workload = mixed();
    workload.options.max_indexes_per_table = 1;
    let selection = selected(&workload);
    for table in [1, 2] {
        assert!(selection.steps.iter().filter(|step| step.candidate.table == table).count() <= 1);
    }
}

#[test]
fn what_exists_is_not_proposed_again() {
    let mut workload = workload(vec![vec![whole(reference(1, &[(3, EQUAL)], &[3]))]]);
    workload.indexes = vec![existing(9, 1, &[3, 7])];
    let selection = selected(&workload);
    assert_eq!(selection.statistics.candidates, 0);
    assert_eq!(selection.useless, []);
}

#[test]
fn indexes_in_no_plan_and_those_that_a_step_extends_are_useless() {
    let mut workload = workload(vec![vec![whole(reference(1, &[(3, EQUAL), (5, RANGE)], &[3, 5]))]]);
    workload.indexes = vec![existing(8, 1, &[10]), existing(9, 1, &[3]), existing(10, 2, &[3])];
    workload.indexes[2].droppable = false;
    let selection = selected(&workload);
    assert_eq!(selection.steps[0].candidate, btree(1, &[3, 5], &[]));
    assert_eq!(selection.steps[0].extends, Some(9));
    let useless: Vec<(u32, Option<usize>)> =
        selection.useless.iter().map(|index| (index.oid, index.replaced_by)).collect();
    assert_eq!(useless, [(8, None), (9, Some(0))]);
}

#[test]
fn of_two_that_serve_for_each_other_one_stays() {
    let mut workload = workload(vec![vec![whole(reference(1, &[(3, EQUAL)], &[3]))]]);
    workload.indexes = vec![existing(8, 1, &[3]), existing(9, 1, &[3, 10])];
    let selection = selected(&workload);
    assert_eq!(selection.useless.len(), 1, "{:?}", selection.useless);
}

#[test]
fn alternatives_come_with_their_reasons() {
    let selection = selected(&mixed());
    let alternatives: Vec<&Alternative> = selection.steps.iter().flat_map(|step| &step.alternatives).collect();
    assert!(!alternatives.is_empty());
    for step in &selection.steps {
        assert!(step.alternatives.len() <= MAX_ALTERNATIVES);
        assert!(step.alternatives.iter().all(|alternative| alternative.candidate != step.candidate));
    }
}

#[test]
fn a_query_that_cannot_be_planned_is_left_out() {
    let mut workload = mixed();
    workload.queries[1].shape.references[0].table = 99;
    let selection = selected(&workload);
    assert!(selection.queries[1].is_none());
    assert!(selection.queries[0].is_some() && selection.complete);
}
