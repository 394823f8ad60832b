//! What the application asks for: workers × concurrent queries + background workers × 2.

use super::Request;
use super::rows::{Basis, Part, Rows, number, rounded_down, rounded_up};
use crate::units::Count;

/// One for the job, one for its progress, heartbeat or queue.
pub const PER_BACKGROUND_WORKER: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Connections that a process needs so that nothing waits for one.
    pub api: u64,
    /// With fewer, requests that each hold one can wait for each other for ever.
    pub api_floor: u64,
    pub background: u64,
    /// Processes of all instances.
    pub api_processes: u64,
    pub background_processes: u64,
    /// While a version is rolled out.
    pub api_processes_at_peak: u64,
    pub background_processes_at_peak: u64,
    /// What one request holds beyond its first connection.
    more_per_request: u64,
    requests_per_worker: u64,
}

impl Demand {
    pub fn of(request: &Request) -> Demand {
        let whole = rounded_up(request.queries_per_request).max(1);
        let at_peak = instances_at_peak(request);
        let more_per_request = whole - 1;
        let api_floor = request.requests_per_worker * more_per_request + 1;
        let used = rounded_up(request.requests_per_worker as f64 * request.queries_per_request);
        Demand {
            api: used.max(api_floor),
            api_floor,
            background: PER_BACKGROUND_WORKER,
            api_processes: request.api_workers * request.instances,
            background_processes: request.background_workers * request.instances,
            api_processes_at_peak: request.api_workers * at_peak,
            background_processes_at_peak: request.background_workers * at_peak,
            more_per_request,
            requests_per_worker: request.requests_per_worker,
        }
    }

    /// Of all instances.
    pub fn steady(&self) -> u64 {
        self.api * self.api_processes + self.background * self.background_processes
    }

    /// While a version is rolled out.
    pub fn at_peak(&self) -> u64 {
        self.api * self.api_processes_at_peak + self.background * self.background_processes_at_peak
    }

    pub fn processes_at_peak(&self) -> u64 {
        self.api_processes_at_peak + self.background_processes_at_peak
    }

    /// Where all processes share one pool: one more than what all requests can hold while each waits for its last.
    pub fn floor_of_fleet(&self) -> u64 {
        let requests = self.api_processes_at_peak * self.requests_per_worker;
        requests * self.more_per_request + self.background_processes_at_peak * (self.background - 1) + 1
    }

    /// A request or a job takes a connection while it holds another.
    pub fn holds_several(&self) -> bool {
        self.floor_of_fleet() > 1
    }

    pub fn tell(&self, request: &Request, rows: &mut Rows) {
        let queries = number(request.queries_per_request);
        let Request { api_workers, background_workers, instances, requests_per_worker, .. } = *request;
        let mut given = |name: &'static str, value: f64, unit: &'static str, rests_on: &str| {
            rows.add(Part::Demand, name, value, unit, Basis::Given, rests_on);
        };
        given("api_workers", api_workers as f64, "processes", "of one instance");
        given("background_workers", background_workers as f64, "processes", "of one instance");
        given(
            "queries_per_request",
            request.queries_per_request,
            "connections",
            "what one request holds at the same time; one that is held while the next is asked for counts, too",
        );
        given(
            "requests_per_worker",
            requests_per_worker as f64,
            "requests",
            "at the same time; above 1 in async workers",
        );
        given("instances", instances as f64, "instances", "that run the application");
        given(
            "instances_at_peak",
            instances_at_peak(request) as f64,
            "instances",
            &format!(
                "{} × deploy_overlap {}, rounded up: old and new ones run while a version is rolled out",
                Count(instances).of("instance"),
                number(request.deploy_overlap)
            ),
        );
        let mut computed = |name: &'static str, value: u64, rests_on: String| {
            rows.add(Part::Demand, name, value as f64, "connections", Basis::Given, &rests_on);
        };
        computed(
            "api_process",
            self.api,
            format!(
                "{} at the same time × {queries} connections, at least the deadlock floor",
                Count(requests_per_worker).of("request")
            ),
        );
        computed(
            "deadlock_floor",
            self.api_floor,
            format!(
                "requests × (connections of each − 1) + 1 = {requests_per_worker} × {} + 1: with one less, every request of a \
                 process can hold what another waits for",
                self.more_per_request
            ),
        );
        computed(
            "background_process",
            self.background,
            "2: the job's, and one beside it for its progress, heartbeat or queue".to_string(),
        );
        computed(
            "steady",
            self.steady(),
            format!(
                "{} × ({api_workers} × {} + {background_workers} × {})",
                Count(instances).of("instance"),
                self.api,
                self.background
            ),
        );
        computed(
            "at_peak",
            self.at_peak(),
            format!(
                "{} API processes × {} + {} background processes × {}, old and new version together",
                self.api_processes_at_peak, self.api, self.background_processes_at_peak, self.background
            ),
        );
    }
}

pub fn instances_at_peak(request: &Request) -> u64 {
    rounded_up(request.instances as f64 * request.deploy_overlap)
}

/// The largest deploy_overlap with which what is needed fits. None: not even without one.
pub fn overlap_that_fits(request: &Request, slots: u64) -> Option<f64> {
    let of_one = Demand::of(&Request { instances: 1, deploy_overlap: 1.0, ..request.clone() }).at_peak();
    let instances = slots / of_one.max(1);
    (instances >= request.instances)
        .then(|| rounded_down(instances as f64 / request.instances as f64 * 100.0) as f64 / 100.0)
}
