use super::entry::{Key, Report, Text};
use super::parents::Parents;
use super::ring::{Counts, Execution, Limits, Parameters, Ring, Step};
use super::shared::{Partition, parent_place, window_place};
use super::text::{commented, hash, normalized, part, printed_tags, tags, trace_hash};
use super::window::{Lookup, parent_hash, window_hash};
use std::collections::BTreeSet;

const LIMITS: Limits = Limits { threshold: 10, window_us: 1_000_000 };

#[test]
fn constants_become_parameters() {
    let text = |sql: &str| normalized(sql.as_bytes(), 1000);
    assert_eq!(text("select  a\n from t1 where b='x''y' and c = $2 -- end"), "select a from t1 where b=$3 and c = $2");
    assert_eq!(text("select 1.5e-3, .5, 0xFF, e'a\\'b', x'1F' from \"T 1\""), "select $1, $2, $3, $4, $5 from \"T 1\"");
    assert_eq!(text("/* c */ select $$a'b$$, $q$ $$ $q$, t_1.a /* d /* e */ */ ;"), "select $1, $2, t_1.a");
    assert_eq!(text("select 'é', naïve1 from t"), "select $1, naïve1 from t");
    assert_eq!(text("/* c */ prepare \"as\" (numeric(9, 2), int) as select 1"), "select $1");
    assert_eq!(text("prepare"), "prepare");
    assert_eq!(text("select 'open"), "select $1");
    assert_eq!(text("select /* open"), "select");
    assert_eq!(text("select $"), "select $");
    assert_eq!(text(""), "");
    assert_eq!(normalized("select \"éééé\" from t".as_bytes(), 11), "select \"é");
    assert_eq!(normalized(b"select \xff\xfe '\xff'", 100), "select \u{fffd}\u{fffd} $1");
}

#[test]
fn a_statement_of_several() {
    assert_eq!(part(b"select 1; select 2", 9, 9), b" select 2");
    assert_eq!(part(b"select 1", 0, 0), b"select 1");
    assert_eq!(part(b"select 1", -1, 0), b"select 1");
    assert_eq!(part(b"select 1", 99, 99), b"");
}

#[test]
fn tags_of_comments() {
    let found = |sql: &str| serde_json::Value::Object(tags(sql.as_bytes())).to_string();
    let sql = "select 1 /*controller='a%20b',route='%2Fusers%2F%3Cid%3E',db_driver='psycopg2'*/";
    assert_eq!(found(sql), r#"{"controller":"a b","db_driver":"psycopg2","route":"/users/<id>"}"#);
    assert_eq!(found("/*application:Shop,action:index*/ select 1"), r#"{"action":"index","application":"Shop"}"#);
    assert_eq!(found("select '/*a=''b''*/' /* just a comment, with comma */"), "{}");
    assert_eq!(found("select 1 /*a='\\'q\\'%00%zz'*/"), r#"{"a":"'q'%zz"}"#);
    assert_eq!(found("select 1 /*+ SeqScan(t) */ /*a='1'*/ /* and more */"), r#"{"a":"1"}"#);
    let traced = |trace: &str, span: &str| {
        trace_hash(
            format!("select 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e47{trace}-00f067aa0ba902{span}-01'*/")
                .as_bytes(),
        )
    };
    assert_eq!(traced("36", "b7"), traced("36", "b8"));
    assert_ne!(traced("36", "b7"), traced("37", "b7"));
    assert_eq!((trace_hash(b"select 1"), trace_hash(b"select 1 /*traceparent='00*/")), (0, 0));
    let many = format!("/*{}*/", (0..99).map(|n| format!("k{n}='{}'", "v".repeat(500))).collect::<Vec<_>>().join(","));
    assert_eq!(tags(many.as_bytes()).len(), 16);
    assert!(printed_tags(tags(many.as_bytes()), 512).len() <= 512);
}

#[test]
fn the_comment_is_not_a_parameter() {
    assert_eq!(hash(b"select 1 /*t='1'*/"), hash(b"select 1 /*t='2'*/"));
    assert_eq!(hash(b"/*t='1'*/select 1"), hash(b"/*t='2'*/select 1"));
    assert_ne!(hash(b"select 11"), hash(b"select 12"));
    assert!(commented(b"/* */ select 1") && !commented(b"select /* */ 1"));
    hash(b"/*");
    hash(b"*/");
    hash(b"/*/");
}

#[test]
fn distinct_parameters() {
    for distinct in [1, 10, 100, 1000] {
        let mut set = Parameters::default();
        for time in 0..3000 {
            set.add(hash(format!("select {}", time % distinct).as_bytes()));
        }
        let estimate = set.distinct();
        assert!((estimate - f64::from(distinct)).abs() <= f64::from(distinct) * 0.15 + 1.0, "{distinct}: {estimate}");
    }
}

/// What became known: query, parent, executions, parent's rows.
#[derive(Default)]
struct Client {
    ring: Option<Box<Ring>>,
    clock: i64,
    transaction: u32,
    in_block: bool,
    known: Vec<(i64, i64, u64, u64, bool)>,
    shared: u32,
}

impl Client {
    fn run(&mut self, query_id: i64, rows: u64) {
        self.clock += 1000;
        let ring = self.ring.get_or_insert_with(Ring::new);
        let execution = Execution {
            query_id,
            role: 10,
            transaction: self.transaction,
            in_block: self.in_block,
            at: self.clock,
            rows,
            ms: 1.0,
            parameters: self.clock as u64,
            trace: 0,
        };
        let (known, shared) = (&mut self.known, &mut self.shared);
        ring.count(&execution, LIMITS, |slot, _: &Parents, step| {
            if matches!(step, Step::Share) {
                *shared += 1;
                return;
            }
            let (news, begins) = slot.take_news();
            known.push((slot.query_id, slot.parent_query_id, news.executions, news.parent_rows, begins));
        });
        if rows > 1 {
            ring.parents.add(&execution, b"select");
        }
    }

    fn begin(&mut self) {
        (self.transaction, self.in_block) = (self.transaction + 1, true);
    }

    fn commit(&mut self) {
        self.in_block = false;
        let known = &mut self.known;
        self.ring.get_or_insert_with(Ring::new).flush(false, |slot, _| {
            let (news, begins) = slot.take_news();
            known.push((slot.query_id, slot.parent_query_id, news.executions, news.parent_rows, begins));
        });
    }

    /// Bursts, executions and rows of the parent.
    fn total(&self, query_id: i64, parent: i64) -> (usize, u64, u64) {
        let of = || self.known.iter().filter(move |known| (known.0, known.1) == (query_id, parent));
        (of().filter(|k| k.4).count(), of().map(|k| k.2).sum(), of().map(|k| k.3).sum())
    }
}

#[test]
fn burst_in_a_transaction() {
    let mut client = Client::default();
    for rows in [9, 10, 200] {
        client.begin();
        client.run(1, rows);
        (0..rows).for_each(|_| client.run(2, 1));
        client.commit();
    }
    assert_eq!(client.total(2, 1), (2, 210, 210));
    assert_eq!(client.shared, 0);
}

#[test]
fn slow_repetitions_outside_a_transaction_are_none() {
    let mut client = Client::default();
    for _ in 0..100 {
        client.run(2, 1);
        client.clock += 120_000;
    }
    assert!(client.known.is_empty());
    for _ in 0..20 {
        client.run(2, 1);
    }
    assert_eq!(client.total(2, 0).0, 1);
}

#[test]
fn each_of_the_parents_rows() {
    // users, and of each its posts and its settings.
    let mut client = Client::default();
    client.begin();
    client.run(1, 12);
    for _ in 0..12 {
        client.run(2, 3);
        client.run(3, 1);
    }
    client.commit();
    assert_eq!(client.total(2, 1), (1, 12, 12));
    assert_eq!(client.total(3, 1), (1, 12, 12));
    // And of each post its author.
    client.begin();
    client.run(1, 12);
    for _ in 0..12 {
        client.run(2, 5);
        (0..5).for_each(|_| client.run(4, 1));
    }
    client.commit();
    assert_eq!(client.total(4, 2), (6, 60, 60));
}

#[test]
fn lists_one_after_the_other() {
    let mut client = Client::default();
    for _ in 0..3 {
        client.run(1, 15);
        (0..15).for_each(|_| client.run(2, 1));
    }
    assert_eq!(client.total(2, 1), (3, 45, 45));
}

#[test]
fn reports_are_no_lookups() {
    let mut client = Client::default();
    client.begin();
    (0..50).for_each(|_| client.run(1, 1000));
    client.commit();
    assert!(client.known.is_empty());
}

#[test]
fn many_statements() {
    let mut client = Client::default();
    client.begin();
    for query in 0..10_000 {
        client.run(query + 10, 1);
        if query % 100 == 0 {
            client.run(1, 1);
        }
    }
    assert!(client.known.is_empty(), "its slot was another's in between");
    (0..10).for_each(|_| client.run(5, 1));
    assert_eq!(client.total(5, 0), (1, 10, 0));
}

#[test]
fn another_statement_takes_the_parents_place() {
    let mut client = Client::default();
    client.begin();
    (0..5).for_each(|_| client.run(1, 20));
    client.run(2, 1);
    (10..25).for_each(|other| client.run(other, 30));
    (0..15).for_each(|_| client.run(2, 1));
    client.commit();
    assert_eq!(client.total(2, 0), (1, 16, 0));
}

fn key(number: u64) -> Key {
    Key { database: 5, role: 10, query_id: number as i64, application: Text::new(b"shop"), ..Key::default() }
}

#[test]
fn all_places_are_used() {
    let (mut windows, mut parents) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..1000 {
        windows.insert(window_place(window_hash(&key(number), 0)));
        parents.insert(parent_place(parent_hash(&Key { role: number as u32, ..key(0) })));
    }
    assert_eq!((windows.len(), parents.len()), (16, 4));
}

fn report(key: Key, at: i64, executions: u64) -> Report<'static> {
    Report {
        key,
        news: Counts { executions, ..Counts::default() },
        begins: executions > 0,
        executions,
        parameters: Parameters::default(),
        in_transaction: false,
        connections: 1,
        at,
        sql: None,
        parent_sql: None,
    }
}

#[test]
fn what_is_prepared_waits_for_its_window() {
    // SAFETY: it may all be zero, as shared memory is at first.
    let mut partition: Box<Partition> = unsafe { Box::new_zeroed().assume_init() };
    let add = |partition: &mut Partition, number: u64, executions: u64| {
        let (key, at) = (key(number), 1000 + number as i64);
        partition.make(&key).0.unwrap().add(&report(key, at, executions), None);
    };
    let execution = Execution { at: 1, ..Execution::default() };
    let hash = window_hash(&key(0), 0);
    let lookup = Lookup { key: key(0), execution: &execution, limits: LIMITS, connection: 1, sql: b"" };
    partition.window(hash).open(&lookup, hash);
    let with_parent = Key { parent_query_id: 7, ..key(0) };
    add(&mut partition, 999, 12);
    partition.make(&with_parent).0.unwrap().add(&report(with_parent, 2000, 0), None);
    // Prepared as well, but for windows that are over.
    (1..=40).for_each(|number| add(&mut partition, number, 0));
    assert!(partition.find(&key(999)).is_some());
    (41..=70).for_each(|number| add(&mut partition, number, 12));
    assert!(partition.find(&with_parent).is_some() && partition.find(&key(40)).is_none());
    assert!(partition.find(&key(999)).is_some(), "the others were only prepared");
    partition.window(hash).close();
    add(&mut partition, 100, 12);
    assert!(partition.find(&with_parent).is_none());
}
