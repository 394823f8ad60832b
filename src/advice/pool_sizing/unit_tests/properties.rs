//! Sizes over a grid of applications and servers: what must hold for all of them.

use super::*;
use crate::advice::pool_sizing::application::Pools;

fn grid(mut judge: impl FnMut(&Case)) {
    for max_connections in [4, 20, 100, 500, 5000] {
        for (api_workers, background_workers) in [(0, 1), (1, 0), (1, 1), (4, 2), (16, 4), (200, 50)] {
            for queries in [0.2, 1.0, 1.5, 2.0, 5.0] {
                for (instances, overlap, requests) in [(1, 1.0, 1), (3, 1.25, 4), (6, 2.0, 1), (40, 2.0, 25)] {
                    for pgbouncer in [None, Some(false), Some(true)] {
                        for breaks in [false, true] {
                            let mut case = Case::new(max_connections, api_workers, queries, background_workers);
                            case.request.instances = instances;
                            case.request.deploy_overlap = overlap;
                            case.request.requests_per_worker = requests;
                            case.request.pgbouncer = pgbouncer;
                            if breaks {
                                case.holds_advisory_lock();
                            }
                            judge(&case);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_fleet_never_takes_more_than_its_slots_or_it_is_said() {
    grid(|case| {
        let plan = case.plan();
        let warnings = case.warnings();
        if plan.most_of_server() > plan.budget.slots {
            let least = plan.through == Through::TransactionPooling || plan.pools == Pools::within(&plan.demand, 0);
            assert!(least, "larger than the least though it does not fit: {:?}", case.request);
            let said = warnings.contains(&"more_processes_than_slots") || warnings.contains(&"no_slots");
            assert!(said, "{:?}: {warnings:?}", case.request);
            assert_eq!(case.rows()[0].name, "does_not_fit");
        } else {
            let name = case.rows()[0].name;
            assert_eq!(name == "can_deadlock", plan.can_deadlock(), "{:?}", case.request);
            assert!(name == "can_deadlock" || name.starts_with("fits"), "{name}");
        }
    });
}

#[test]
fn no_pool_is_below_its_deadlock_floor_unless_it_is_said() {
    grid(|case| {
        let plan = case.plan();
        let warned = case.warnings().contains(&"deadlock_possible");
        assert_eq!(plan.can_deadlock(), warned, "{:?}", case.request);
        if plan.through == Through::Nothing && case.request.api_workers > 0 && !warned {
            assert!(plan.pools.api.most() >= plan.demand.api_floor);
        }
        if plan.through == Through::TransactionPooling && !warned {
            assert!(plan.most_of_server() >= plan.demand.floor_of_fleet());
        }
    });
}

#[test]
fn sizes_are_positive_and_pools_no_larger_than_needed_with_half_more() {
    grid(|case| {
        let Plan { demand, pools, bouncer, budget, .. } = case.plan();
        assert!(pools.api.size >= 1 && pools.background.size >= 1);
        assert!(pools.api.size <= demand.api && pools.background.size <= demand.background);
        assert!(pools.api.overflow <= demand.api.div_ceil(2));
        assert!(pools.api.overflow == 0 || pools.api.size == demand.api, "overflow before what is needed");
        if let Some(bouncer) = bouncer {
            assert!(bouncer.min_pool_size >= 1 && bouncer.min_pool_size <= bouncer.pool_size);
            assert!(bouncer.max_client_conn >= pools.most(&demand));
            assert!(bouncer.most() <= budget.slots.max(1));
        }
    });
}

#[test]
fn more_slots_never_make_the_fleet_smaller() {
    let demand = Demand::of(&Case::new(100, 7, 2.5, 3).request);
    let sizes: Vec<_> = (0..300).map(|slots| Pools::within(&demand, slots)).collect();
    for pair in sizes.windows(2) {
        assert!(pair[0].most(&demand) <= pair[1].most(&demand));
        assert!(pair[0].below_floor(&demand) || !pair[1].below_floor(&demand), "what has been reached stays");
        assert!(pair[0].below_need(&demand) || !pair[1].below_need(&demand), "what has been reached stays");
    }
    assert_eq!(sizes[299], Pools::unlimited(&demand));
}

#[test]
fn no_pool_lacks_what_there_are_slots_for() {
    grid(|case| {
        let Plan { demand, pools, budget, through, .. } = case.plan();
        let wanted = Pools::unlimited(&demand);
        for (pool, wanted, processes) in [
            (pools.api, wanted.api, demand.api_processes_at_peak),
            (pools.background, wanted.background, demand.background_processes_at_peak),
        ] {
            let one_more = pools.most(&demand) + processes;
            let lacks = through != Through::TransactionPooling && pool.most() < wanted.most();
            assert!(!lacks || one_more > budget.slots, "{:?}: {pools:?}", case.request);
        }
    });
    // The API's processes take 50 for each connection more, and background workers need two.
    let mut case = Case::new(100, 25, 2.0, 1);
    case.request.pgbouncer = Some(false);
    assert_eq!((case.plan().pools.api.most(), case.plan().pools.background.size), (1, 2));
}
