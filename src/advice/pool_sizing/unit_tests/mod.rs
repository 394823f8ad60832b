//! Sizes, warnings and texts of single cases.

mod properties;

use super::rows::{Basis, Part, percent, span};
use super::*;
use crate::facts::activity::called_functions::CalledFunction;
use crate::facts::activity::concurrency::{SessionTime, StatementTime, StatementTimes};
use crate::facts::activity::{History, RecordedPeak, Slots, State};
use std::sync::atomic::{AtomicUsize, Ordering};

const ROLE: u32 = 10;
const DATABASE: u32 = 5;

struct Case {
    request: Request,
    server: Server,
    role: SizedRole,
    activity: Activity,
    concurrency: Concurrency,
    check: fn(),
}

impl Case {
    fn new(max_connections: u64, api_workers: u64, queries_per_request: f64, background_workers: u64) -> Case {
        let request = Request {
            api_workers,
            queries_per_request,
            background_workers,
            instances: 1,
            deploy_overlap: 2.0,
            requests_per_worker: 1,
            pgbouncer: None,
            pool_mode: None,
            target_utilization: 0.8,
        };
        let server = Server { cores: 4, ..Server::default() };
        let slots = Slots { max_connections, superuser_reserved: 3, own: Some((DATABASE, 99)), ..Slots::default() };
        let role = SizedRole {
            oid: ROLE,
            name: "app".to_string(),
            database: "shop".to_string(),
            database_oid: DATABASE,
            can_log_in: true,
            ..SizedRole::default()
        };
        Case {
            request,
            server,
            role,
            activity: Activity { slots, ..Activity::default() },
            concurrency: Concurrency::default(),
            check: || {},
        }
    }

    fn with<T>(&self, body: impl FnOnce(&Input) -> T) -> T {
        body(&Input {
            request: self.request.clone(),
            server: self.server.clone(),
            role: self.role.clone(),
            role_chosen: None,
            role_identifier: "app".to_string(),
            database_identifier: "shop".to_string(),
            activity: &self.activity,
            concurrency: &self.concurrency,
            check: self.check,
        })
    }

    fn plan(&self) -> Plan {
        self.with(Plan::of)
    }

    fn rows(&self) -> Vec<Row> {
        self.with(size)
    }

    fn warnings(&self) -> Vec<&'static str> {
        self.rows().iter().filter(|row| row.part == Part::Warning).map(|row| row.name).collect()
    }

    fn text(&self, name: &str) -> String {
        let row = self.rows().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"));
        row.text.unwrap_or(row.rests_on)
    }

    /// One session of the application does, while it is idle.
    fn holds_advisory_lock(&mut self) {
        let (role_oid, database_oid) = (Some(self.role.oid), Some(self.role.database_oid));
        let kind = "client backend".to_string();
        let session = Session { kind, pid: 7, role_oid, database_oid, state: Some(State::Idle), ..Session::default() };
        self.activity.sessions.push(session);
        self.activity.locks.usage.advisory.insert(7);
    }

    fn others(&mut self, number: usize) {
        let session = Session { kind: "client backend".to_string(), role_oid: Some(99), ..Session::default() };
        self.activity.sessions = vec![session; number];
    }
}

#[test]
fn what_others_hold_and_limits_come_off() {
    let mut case = Case::new(100, 4, 2.0, 2);
    assert_eq!(case.plan().budget.slots, 76, "80% of 97, less the session that asks");
    case.others(30);
    assert_eq!(case.plan().budget.slots, 46);
    case.role.connection_limit = Some(20);
    assert_eq!(case.plan().budget.slots, 16);
    case.role.is_superuser = true;
    assert_eq!(case.plan().budget.slots, 46);
    case.others(200);
    assert_eq!(case.plan().budget.slots, 0);
    assert_eq!(case.warnings()[0], "no_slots");
}

#[test]
fn a_deploy_that_is_too_wide_is_told_how_wide_it_may_be() {
    let mut case = Case::new(100, 4, 2.0, 2);
    case.request.instances = 5;
    case.request.pgbouncer = Some(false);
    let plan = case.plan();
    assert_eq!((plan.demand.steady(), plan.demand.at_peak(), plan.budget.slots), (60, 120, 76));
    assert!(case.text("demand_exceeds_slots").contains("deploy_overlap at most 1.2"));
    case.request.deploy_overlap = 1.2;
    assert!(!case.warnings().contains(&"demand_exceeds_slots"));
}

#[test]
fn decimals_are_rounded_as_they_are_written() {
    let mut case = Case::new(5000, 55, 1.0, 0);
    (case.request.instances, case.request.deploy_overlap) = (50, 1.1);
    assert_eq!(case.plan().demand.at_peak(), 3025, "55 instances");
    case.request.deploy_overlap = 1.11;
    assert_eq!(case.plan().demand.at_peak(), 3080, "56 instances");
    (case.request.requests_per_worker, case.request.queries_per_request) = (100, 1.1);
    assert_eq!(case.plan().demand.api, 110);
    assert_eq!(demand::overlap_that_fits(&Case::new(100, 1, 1.0, 0).request, 1), Some(1.0));
    let mut wide = Case::new(100, 1, 1.0, 0).request;
    wide.instances = 100;
    assert_eq!(demand::overlap_that_fits(&wide, 115), Some(1.15));
}

#[test]
fn features_of_sessions_decide_the_pool_mode() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=transaction "));
    assert!(case.text("api_engine").contains("\"prepare_threshold\": None"));
    assert!(case.text("pool_mode").contains("is not known"));
    let statement = |text: &str| StatementTime { calls: 3.0, text: Some(text.to_string()), ..StatementTime::default() };
    let of_role = vec![statement("select 1"), statement("listen jobs")];
    case.concurrency.statements = Some(StatementTimes { of_role, ..StatementTimes::default() });
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=session "));
    assert!(!case.text("api_engine").contains("prepare_threshold"));
    assert!(case.text("pool_mode").contains("would break LISTEN"));
    assert!(case.text("needs_its_session").contains("LISTEN (3 calls of 1 statement, such as listen jobs)"));
    case.request.pool_mode = Some(Pooling::Transaction);
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=transaction "));
    assert!(case.warnings().contains(&"needs_its_session"));
}

#[test]
fn what_is_set_seldom_does_not_decide_the_pool_mode() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    let mut of = |selects: f64, sets: f64, text: &str| {
        let statement =
            |text: &str, calls| StatementTime { calls, text: Some(text.to_string()), ..StatementTime::default() };
        let of_role = vec![statement("select 1", selects), statement(text, sets)];
        case.concurrency.statements = Some(StatementTimes { of_role, ..StatementTimes::default() });
        (case.text("pgbouncer_ini").contains(" pool_mode=transaction "), case.warnings())
    };
    let (seldom, often) = ("may_need_its_session", "needs_its_session");
    for text in
        ["SET statement_timeout = 0", "SET work_mem TO DEFAULT", "set row_security = off", "set work_mem = '1GB'"]
    {
        for (selects, sets, decides) in
            [(3.0, 1.0, false), (3.0, 20.0, false), (3.0, 21.0, true), (9900.0, 100.0, false), (9900.0, 101.0, true)]
        {
            let (transaction, warnings) = of(selects, sets, text);
            assert_eq!(transaction, !decides, "{text}: {selects} {sets}");
            assert_eq!(warnings.contains(&often), decides, "{text}: {selects} {sets}");
            assert_eq!(warnings.contains(&seldom), !decides, "{text}: {selects} {sets}");
        }
    }
    assert!(!of(9900.0, 1.0, "listen jobs").0);
    of(9900.0, 1.0, "SET statement_timeout = 0");
    let (warning, risk) = (case.text("may_need_its_session"), limit::RISK);
    for text in [warning.as_str(), risk] {
        assert!(text.contains("connect past the pooler") && text.contains("role of their own"), "{text}");
    }
}

#[test]
fn the_search_can_be_cancelled_at_each_text() {
    static CHECKS: AtomicUsize = AtomicUsize::new(0);
    let mut case = Case::new(100, 40, 1.0, 2);
    case.check = || {
        CHECKS.fetch_add(1, Ordering::Relaxed);
    };
    let statement = StatementTime { text: Some("select 1".to_string()), ..StatementTime::default() };
    case.concurrency.statements = Some(StatementTimes { of_role: vec![statement; 1000], ..StatementTimes::default() });
    case.plan();
    assert!(CHECKS.load(Ordering::Relaxed) >= 2000, "for what is used, and for what may be");
}

#[test]
fn whose_set_role_it_is_cannot_be_told() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    let statement = |text: &str| StatementTime { calls: 3.0, text: Some(text.to_string()), ..StatementTime::default() };
    let session = |text: &str| Session {
        kind: "client backend".to_string(),
        role_oid: Some(ROLE),
        database_oid: Some(DATABASE),
        query: Some(text.to_string()),
        ..Session::default()
    };
    let (own, of_others) = (vec![statement("set role app")], vec![statement("SET ROLE reporting")]);
    case.concurrency.statements = Some(StatementTimes { of_role: own.clone(), ..StatementTimes::default() });
    assert!(!case.warnings().iter().any(|name| name.ends_with("its_session")), "who has become app is another");
    case.concurrency.statements =
        Some(StatementTimes { of_role: own, role_changes: of_others, ..StatementTimes::default() });
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=transaction "));
    let may = case.text("may_need_its_session");
    assert!(may.contains("3 calls of 1 statement, such as SET ROLE reporting"), "{may}");
    case.activity.sessions = vec![session("set role reporting")];
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=session "));
}

#[test]
fn what_the_pool_mode_rests_on() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    let basis = |case: &Case| case.rows().into_iter().find(|row| row.name == "pool_mode").unwrap().basis;
    assert_eq!(basis(&case), Basis::Default, "no text is visible");
    let statement = |text: &str| StatementTime { calls: 3.0, text: Some(text.to_string()), ..StatementTime::default() };
    for text in ["select 1", "listen jobs"] {
        case.concurrency.statements =
            Some(StatementTimes { of_role: vec![statement(text)], ..StatementTimes::default() });
        assert_eq!(basis(&case), Basis::Estimated, "{text}");
    }
}

#[test]
fn what_functions_run_is_searched() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    let statement = StatementTime { calls: 3.0, text: Some("select app.f()".to_string()), ..StatementTime::default() };
    case.concurrency.statements = Some(StatementTimes { of_role: vec![statement], ..StatementTimes::default() });
    let function = |body: &str| {
        vec![CalledFunction { schema: "app".to_string(), name: "f".to_string(), body: body.to_string(), calls: 3 }]
    };
    case.concurrency.functions = function("begin perform pg_advisory_xact_lock(1); end");
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=transaction "));
    case.concurrency.functions = function("begin perform pg_advisory_lock(1); end");
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=session "));
    assert!(case.text("needs_its_session").contains("(3 calls of 1 statement, such as function app.f)"));
}

#[test]
fn the_limit_that_binds_is_named() {
    let mut case = Case::new(100, 16, 1.0, 0);
    case.request.pgbouncer = Some(false);
    case.role.connection_limit = Some(10);
    let warning = case.text("demand_exceeds_slots");
    assert!(warning.contains("the connection limit of role app leaves 8 slots for it"), "{warning}");
    assert!(warning.contains("alter role app connection limit 40; without it there were 76 slots"), "{warning}");
    assert!(!warning.contains("max_connections"), "{warning}");
    assert!(case.text("does_not_fit").contains("the connection limit of role app leaves 8 slots"));
    case.role.database_connection_limit = Some(20);
    let warning = case.text("demand_exceeds_slots");
    assert!(warning.contains("alter role app connection limit …) alone does not do"), "{warning}");
    case.role.connection_limit = None;
    let warning = case.text("demand_exceeds_slots");
    assert!(warning.contains("database shop leaves 15 slots"), "{warning}");
    assert!(warning.contains("alter database shop connection limit 42;"), "{warning}");
    case.role.database_connection_limit = Some(1);
    let warning = case.text("no_slots");
    assert!(
        warning.contains("limit of database shop leaves no slot") && warning.contains("there were 76"),
        "{warning}"
    );
    case.role.database_connection_limit = None;
    case.others(70);
    assert!(case.text("demand_exceeds_slots").contains("Raising max_connections"));
}

#[test]
fn the_answer_says_that_requests_can_lock_up() {
    let mut case = Case::new(12, 4, 3.0, 1);
    for pgbouncer in [None, Some(true)] {
        case.request.pgbouncer = pgbouncer;
        let answer = case.rows().remove(0);
        assert_eq!(answer.name, "can_deadlock");
        assert!(
            answer.rests_on.contains("see the warning deadlock_possible. Through PgBouncer"),
            "{}",
            answer.rests_on
        );
    }
    case.activity.slots.max_connections = 100;
    assert_eq!(case.rows()[0].name, "fits_through_pgbouncer");
}

#[test]
fn what_statements_do_not_say_is_asked() {
    let mut case = Case::new(100, 40, 1.0, 2);
    case.request.pgbouncer = Some(true);
    let statement =
        |text: &str| StatementTime { calls: 30.0, text: Some(text.to_string()), ..StatementTime::default() };
    let of = |text: &str| Some(StatementTimes { of_role: vec![statement(text)], ..StatementTimes::default() });
    case.concurrency.statements = of("select set_config($1, $2, $3)");
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=transaction "));
    assert!(
        case.text("may_need_its_session").contains("30 calls of 1 statement, such as select set_config($1, $2, $3)")
    );
    assert!(case.text("pool_mode").contains("do not say"));
    assert!(case.text("fits_through_pgbouncer").contains("may_need_its_session"));
    assert!(!case.rows().iter().any(|row| row.rests_on.contains("Nothing that needs")));
    case.concurrency.statements = of("select lastval()");
    assert!(case.text("may_need_its_session").contains("another client has drawn"));
    case.concurrency.statements = of("select set_config('TimeZone', 'UTC', false)");
    assert!(case.text("pool_mode").contains("Nothing that needs"));
    assert!(!case.warnings().contains(&"may_need_its_session"));
    case.concurrency.statements = of("select set_config('app.tenant', '7', false)");
    assert!(case.text("pgbouncer_ini").contains(" pool_mode=session "));
}

#[test]
fn a_pool_by_session_fits_as_if_there_were_none() {
    let mut case = Case::new(100, 400, 1.0, 0);
    case.request.pool_mode = Some(Pooling::Session);
    let answer = || case.rows().remove(0);
    assert_eq!((answer().name, answer().value), ("does_not_fit", Some(800.0)));
    let why = case.rows().into_iter().find(|row| row.name == "more_processes_than_slots").unwrap().rests_on;
    assert!(why.contains("query_wait_timeout") && !why.contains("53300"), "{why}");
    case.request.pool_mode = Some(Pooling::Transaction);
    assert_eq!(case.rows()[0].name, "fits_through_pgbouncer");
    (case.request.pool_mode, case.request.pgbouncer) = (None, Some(false));
    assert!(case.rows().iter().any(|row| row.rests_on.contains("53300")));
    let mut small = Case::new(100, 30, 1.0, 1);
    small.request.pool_mode = Some(Pooling::Session);
    assert_eq!(small.rows()[0].name, "fits_through_pgbouncer");
    small.role.connection_limit = Some(10);
    assert_eq!(small.rows()[0].name, "does_not_fit");
}

#[test]
fn a_pool_by_session_that_is_too_small_is_said() {
    let mut case = Case::new(100, 1, 0.5, 0);
    (case.request.deploy_overlap, case.request.requests_per_worker) = (1.0, 1000);
    let statement = StatementTime { calls: 3.0, text: Some("listen jobs".to_string()), ..StatementTime::default() };
    case.concurrency.statements = Some(StatementTimes { of_role: vec![statement], ..StatementTimes::default() });
    assert_eq!(case.plan().through, Through::Nothing, "PgBouncer would save nothing");
    assert_eq!(case.rows()[0].name, "fits_with_less");
    assert!(["needs_its_session", "demand_exceeds_slots"].iter().all(|name| case.warnings().contains(name)));
    case.request.pgbouncer = Some(true);
    assert_eq!((case.plan().through, case.rows()[0].name), (Through::SessionPooling, "fits_with_less"));
    assert!(case.warnings().contains(&"requests_wait"));
}

#[test]
fn a_server_without_slots() {
    let mut case = Case::new(5, 4, 2.0, 2);
    case.request.pgbouncer = Some(true);
    assert_eq!(case.rows()[0].name, "does_not_fit");
    assert_eq!(case.warnings()[0], "no_slots");
    assert!(case.text("max_db_connections").contains("no slot"));
}

#[test]
fn littles_law_counts_what_is_held() {
    let mut case = Case::new(100, 4, 2.0, 2);
    case.concurrency.sessions = SessionTime {
        active_seconds: 7.2e3,
        idle_in_transaction_seconds: 3.6e3,
        open_seconds: 7.2e4,
        seconds: Some(3600.0),
        since_reset: false,
    };
    let measured = case.plan().measured;
    assert_eq!(measured.held(), Some(3.0));
    assert!(!case.text("connections_held_mean").contains("reset"));
    case.concurrency.sessions.since_reset = true;
    assert!(case.text("connections_held_mean").contains("too much if only"));
    assert_eq!(measured.held_per_running(), 1.5);
    assert_eq!(measured.peak.unwrap().value, 9.0);
    case.concurrency.sessions.active_seconds *= 10.0;
    assert!(case.warnings().contains(&"demand_below_measured"));
    case.concurrency.sessions.seconds = None;
    assert!(case.plan().measured.held().is_none() && case.text("not_measured").contains("cannot be shown since when"));
}

#[test]
fn a_recorded_peak_is_taken() {
    let mut case = Case::new(100, 4, 2.0, 2);
    let peak = |database_oid, in_use| RecordedPeak { database_oid, role_oid: ROLE, in_use, is_bound: false };
    let peaks = vec![peak(DATABASE + 1, 40), peak(DATABASE, 17)];
    case.activity.history = Some(History { seconds: 7200.0, samples: 7200, peaks, ..History::default() });
    for (is_bound, basis) in [(false, Basis::Measured), (true, Basis::Estimated)] {
        case.activity.history.as_mut().unwrap().peaks[1].is_bound = is_bound;
        let peak = case.plan().measured.peak.unwrap();
        assert_eq!((peak.value, peak.basis), (17.0, basis));
        assert!(peak.rests_on.contains("7200 samples over 2 hours"), "{}", peak.rests_on);
        assert_eq!(peak.rests_on.contains("at most"), is_bound, "{}", peak.rests_on);
        let mut large = Case::new(1000, 100, 1.0, 0);
        large.activity.history = case.activity.history.clone();
        assert!(large.warnings().contains(&"demand_far_above_measured"));
    }
    case.activity.history.as_mut().unwrap().peaks[1].is_bound = false;
    case.activity.history.as_mut().unwrap().seconds = 59.0;
    assert!(case.plan().measured.peak.is_none());
    // 3 × the mean of 10 connections.
    case.concurrency.sessions =
        SessionTime { active_seconds: 36_000.0, seconds: Some(3600.0), ..SessionTime::default() };
    for (recorded, peak, basis) in [(3599.0, 30.0, Basis::Estimated), (3600.0, 17.0, Basis::Measured)] {
        case.activity.history.as_mut().unwrap().seconds = recorded;
        let figure = case.plan().measured.peak.unwrap();
        assert_eq!((figure.value, figure.basis), (peak, basis), "{}", figure.rests_on);
    }
    case.concurrency.sessions.active_seconds = 3600.0;
    case.activity.history.as_mut().unwrap().seconds = 600.0;
    assert_eq!(case.plan().measured.peak.unwrap().value, 17.0, "the larger of both");
}

#[test]
fn storage_waits_raise_what_the_cores_serve() {
    let mut case = Case::new(100, 4, 2.0, 2);
    assert_eq!(case.plan().budget.capacity, 9);
    case.server.track_io_timing = true;
    case.concurrency.statements =
        Some(StatementTimes { total_ms: 1e6, io_ms: 5e5, seconds: 1e5, ..StatementTimes::default() });
    assert_eq!(case.plan().budget.capacity, 9);
    for (io_ms, capacity) in [(0.0, 5), (1e6, 17), (2e6, 17)] {
        case.concurrency.statements.as_mut().unwrap().io_ms = io_ms;
        assert_eq!(case.plan().budget.capacity, capacity, "{io_ms}");
    }
}

#[test]
fn statement_timeout_follows_what_is_usual() {
    let mut case = Case::new(100, 4, 2.0, 2);
    let statement = |calls, mean_ms, most_ms| StatementTime {
        query_id: Some(7),
        calls,
        mean_ms,
        most_ms,
        ..StatementTime::default()
    };
    let seconds = |case: &Case| case.rows().into_iter().find(|row| row.name == "statement_timeout").unwrap().value;
    assert_eq!(seconds(&case), Some(30.0));
    let of_role = vec![statement(1000.0, 2400.0, 2500.0), statement(3.0, 90_000.0, 95_000.0)];
    case.concurrency.statements = Some(StatementTimes { seconds: 1e6, of_role, ..StatementTimes::default() });
    assert_eq!(seconds(&case), Some(10.0));
    assert!(case.warnings().contains(&"statements_longer_than_timeout"));
    case.concurrency.statements.as_mut().unwrap().seconds = 600.0;
    assert_eq!(seconds(&case), Some(30.0));
}

#[test]
fn transaction_timeout_is_longer_than_the_others() {
    let mut case = Case::new(100, 4, 2.0, 2);
    for mean_ms in [1.0, 3000.0, 50_000.0, 1e9] {
        let statement = StatementTime { calls: 50.0, mean_ms, most_ms: mean_ms, ..StatementTime::default() };
        case.concurrency.statements =
            Some(StatementTimes { seconds: 1e6, of_role: vec![statement], ..StatementTimes::default() });
        let rows = case.rows();
        let of = |name| rows.iter().find(|row| row.name == name).unwrap().value.unwrap();
        assert!(of("transaction_timeout") > of("statement_timeout"));
        assert!(of("transaction_timeout") > of("idle_in_transaction_session_timeout"));
        assert!(of("statement_timeout") > of("lock_timeout") && of("lock_timeout") > 1.0);
    }
}

#[test]
fn names_survive_python_and_ini() {
    let mut case = Case::new(20, 40, 1.0, 2);
    for (name, line, client) in [
        ("my-app_1.x", "\nmy-app_1.x = host=127.0.0.1 port= dbname=my-app_1.x pool_mode=", "/DATABASE\n"),
        (
            "Zoë's \"shop\"",
            "\nZosshop-app = host=127.0.0.1 port= dbname='Zoë''s \"shop\"' pool_mode=",
            "/Zosshop-app\n",
        ),
        ("商店", "\napp = host=127.0.0.1 port= dbname='商店' pool_mode=", "/app\n"),
        ("pgbouncer", "\npgbouncer-app = host=127.0.0.1 port= dbname='pgbouncer' pool_mode=", "/pgbouncer-app\n"),
        ("a\nb", "\n* = host=127.0.0.1 port= pool_mode=", "/DATABASE\n"),
    ] {
        case.role.database = name.to_string();
        let (ini, engine) = (case.text("pgbouncer_ini"), case.text("api_engine"));
        assert!(ini.contains(line) && engine.contains(client), "{ini}{engine}");
    }
    case.role.database = format!("{} ", "x".repeat(62));
    assert!(case.text("pgbouncer_ini").contains(&format!("\n{}-app = ", "x".repeat(59))), "63 bytes");
    case.role.database = "Zoë's \"shop\"".to_string();
    assert!(case.text("api_engine").contains(r#""application_name": "Zosshop-api""#));
    case.role.database = "商店".to_string();
    assert!(case.text("api_async_engine").contains(r#"{"application_name": "api"}"#));
}

#[test]
fn a_transaction_that_is_open_now_is_told() {
    let mut case = Case::new(100, 4, 2.0, 2);
    case.activity.sessions = vec![Session {
        pid: 4711,
        kind: "client backend".to_string(),
        role_oid: Some(ROLE),
        database_oid: Some(DATABASE),
        state: Some(State::IdleInTransaction),
        transaction_seconds: Some(3600.0),
        ..Session::default()
    }];
    assert!(case.text("transactions_longer_than_timeout").contains("pid 4711"));
}

#[test]
fn figures_are_said_shortly() {
    assert_eq!([percent(0.8), percent(0.125), percent(1.0)], ["80%", "12.5%", "100%"]);
    assert_eq!(
        [span(2.5), span(90.0), span(7000.0), span(1e5), span(1e6)],
        ["2.5 s", "90 s", "117 minutes", "28 hours", "12 days"]
    );
}
