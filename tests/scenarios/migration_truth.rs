//! What statements lock, rewrite and read, measured without pg_dbre: pg_locks, an event trigger, counted tuples.

use postgres::Client;
use postgres::types::{FromSqlOwned, Oid};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// From weak to strong; ACCESS SHARE is left out everywhere.
pub const MODES: [&str; 7] = [
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// Weaker ones on indexes and sequences are not counted.
const FIRST_ON_INDEXES: usize = 2;

/// Composite types are relations that no session reads.
const RELATIONS: &str = "
    select
        c.oid,
        pg_catalog.format('%I.%I', n.nspname, c.relname),
        c.relkind in ('i', 'I', 'S'),
        c.relkind in ('r', 'm'),
        c.relkind in ('r', 'm') and c.relispopulated and pg_catalog.pg_relation_size(c.oid) > 0
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbre')
    and c.relkind in ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'f')";

/// Reports what an ALTER rewrites; CLUSTER and REFRESH it does not see.
const RECORD_REWRITES: &str = "
    create function pg_temp.record_rewrite() returns event_trigger language plpgsql as $$
    begin
        perform pg_catalog.set_config('truth.rewritten',
            pg_catalog.concat_ws(',', nullif(pg_catalog.current_setting('truth.rewritten', true), ''), pg_event_trigger_table_rewrite_oid()::pg_catalog.oid::text), true);
    end $$;
    create event trigger record_rewrite on table_rewrite execute function pg_temp.record_rewrite();
    set local truth.rewritten = ''";

/// Whether the parents of a foreign key are read whole is the planner's choice: here it reads them by their key.
pub const PLAIN_PLANS: &str = "set enable_hashjoin = off; set enable_mergejoin = off";

const LOCKS: &str = "
    select l.relation, l.mode
    from pg_catalog.pg_locks l
    join pg_catalog.pg_database d on d.oid = l.database
    where d.datname = pg_catalog.current_database() and l.locktype = 'relation' and l.pid = pg_catalog.pg_backend_pid()";

const COUNTS: &str = "
    select
        r.oid,
        pg_catalog.pg_stat_get_xact_numscans(r.oid),
        pg_catalog.pg_stat_get_xact_tuples_returned(r.oid),
        pg_catalog.pg_relation_filenode(r.oid)
    from pg_catalog.unnest($1::pg_catalog.oid[]) r (oid)";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Relation and the strongest mode: of all steps so far.
    pub locks: BTreeMap<String, String>,
    pub rewrites: BTreeSet<String>,
    pub scans: BTreeSet<String>,
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let locks: Vec<_> = self.locks.iter().map(|(relation, mode)| format!("{relation} {mode}")).collect();
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        write!(
            f,
            "locks: {}\n    rewrites: {}\n    scans: {}",
            locks.join(", "),
            names(&self.rewrites),
            names(&self.scans)
        )
    }
}

struct Relation {
    name: String,
    index: bool,
    /// It has tuples of its own: how many.
    rows: Option<i64>,
}

/// The relations of a database before a migration, and a session to try migrations in.
pub struct Truth {
    client: Client,
    relations: HashMap<Oid, Relation>,
    /// In the transaction, also before a savepoint took them back.
    held: Held,
}

type Counts = HashMap<Oid, (i64, i64, Option<Oid>)>;
type Tried<T> = Result<T, postgres::Error>;

impl Truth {
    pub fn new(mut client: Client) -> Tried<Truth> {
        client.batch_execute(PLAIN_PLANS)?;
        client.batch_execute("set lock_timeout = '20 s'")?;
        let mut truth = Truth { client, relations: HashMap::new(), held: Held::default() };
        truth.look()?;
        Ok(truth)
    }

    /// Which relations there are now, and how many rows they have.
    pub fn look(&mut self) -> Tried<()> {
        self.relations.clear();
        for row in self.client.query(RELATIONS, &[])? {
            let (name, stored): (String, bool) = (row.get(1), row.get(3));
            let rows = match (stored, row.get(4)) {
                (true, true) => Some(self.value(&format!("select pg_catalog.count(*) from only {name}"))?),
                (true, false) => Some(0),
                (false, _) => None,
            };
            self.relations.insert(row.get(0), Relation { name, index: row.get(2), rows });
        }
        Ok(())
    }

    /// What each statement does, all in one transaction that is rolled back; what the first that fails says.
    pub fn of(&mut self, statements: &[&str]) -> Tried<Vec<Observed>> {
        self.client.batch_execute("begin")?;
        self.held = Held::default();
        self.client.batch_execute(RECORD_REWRITES)?;
        let observed = statements.iter().map(|statement| self.step(statement)).collect();
        self.client.batch_execute("rollback")?;
        observed
    }

    /// What the whole text does, in one transaction that is committed; the relations are those before it.
    pub fn apply(&mut self, text: &str) -> Tried<Observed> {
        self.look()?;
        self.client.batch_execute("begin")?;
        self.held = Held::default();
        self.client.batch_execute(RECORD_REWRITES)?;
        match self.step(text) {
            Ok(observed) => {
                let forget = "drop event trigger record_rewrite; drop function pg_temp.record_rewrite(); commit";
                self.client.batch_execute(forget)?;
                self.client.batch_execute("discard temp; reset search_path")?;
                Ok(observed)
            }
            Err(error) => {
                self.client.batch_execute("rollback")?;
                Err(error)
            }
        }
    }

    /// Without looking, for what can't run in a transaction.
    pub fn run(&mut self, text: &str) -> Tried<()> {
        self.client.batch_execute(text)
    }

    fn step(&mut self, statement: &str) -> Tried<Observed> {
        let before = self.counts()?;
        self.client.batch_execute(statement)?;
        // What a deferred constraint does at commit belongs to its statement.
        self.client.batch_execute("set constraints all immediate")?;
        let after = self.counts()?;
        let mut scans = BTreeSet::new();
        let mut rewrites = BTreeSet::new();
        for (oid, relation) in &self.relations {
            let ((scans_before, read_before, file_before), (scans_after, read_after, file_after)) =
                (before[oid], after[oid]);
            let rows = relation.rows.unwrap_or_default();
            // A row that the statement itself deletes is not read again.
            if rows > 0 && scans_after > scans_before && (read_after - read_before) as f64 >= 0.99 * rows as f64 {
                scans.insert(relation.name.clone());
            }
            let copies = ["cluster", "refresh"].iter().any(|word| statement.starts_with(word));
            if copies && relation.rows.is_some() && file_before != file_after {
                rewrites.insert(relation.name.clone());
            }
        }
        let reported: Option<String> =
            self.value("select nullif(pg_catalog.current_setting('truth.rewritten'), '')")?;
        self.client.batch_execute("set local truth.rewritten = ''")?;
        for oid in reported.iter().flat_map(|list| list.split(',')) {
            rewrites.extend(self.relations.get(&oid.parse().unwrap()).map(|relation| relation.name.clone()));
        }
        scans.extend(rewrites.iter().filter(|name| self.has_rows(name)).cloned());
        for row in self.client.query(LOCKS, &[])? {
            if let Some(relation) = self.relations.get(&row.get::<_, Oid>(0)) {
                self.held.add(&relation.name, relation.index, row.get(1));
            }
        }
        Ok(Observed { locks: self.held.shown(), rewrites, scans })
    }

    fn value<T: FromSqlOwned>(&mut self, sql: &str) -> Tried<T> {
        self.client.query_one(sql, &[])?.try_get(0)
    }

    fn counts(&mut self) -> Tried<Counts> {
        let oids: Vec<Oid> = self.relations.keys().copied().collect();
        let rows = self.client.query(COUNTS, &[&oids])?;
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect())
    }

    /// An empty table is read in no time: that it is, counts for nothing.
    pub fn has_rows(&self, name: &str) -> bool {
        self.relations.values().any(|relation| relation.name == name && relation.rows.is_some_and(|rows| rows > 0))
    }

    /// What rows with the columns locks, rewrites, scans say, in the same form.
    pub fn told(&self, steps: &[(Value, Vec<String>, Value)]) -> Vec<Observed> {
        let known: HashMap<&str, bool> = self.relations.values().map(|r| (r.name.as_str(), r.index)).collect();
        let mut held = Held::default();
        let observed = steps.iter().map(|(locks, rewrites, scans)| {
            for lock in locks.as_array().unwrap() {
                let relation = lock["relation"].as_str().unwrap();
                if let Some(index) = known.get(relation) {
                    held.add(relation, *index, lock["mode"].as_str().unwrap());
                }
            }
            let rewrites = rewrites.iter().filter(|name| known.contains_key(name.as_str())).cloned().collect();
            let scanned = scans.as_array().unwrap().iter().map(|scan| scan["relation"].as_str().unwrap());
            let scans = scanned.filter(|name| self.has_rows(name)).map(str::to_string).collect();
            Observed { locks: held.shown(), rewrites, scans }
        });
        observed.collect()
    }
}

#[derive(Default)]
struct Held(BTreeMap<String, usize>);

impl Held {
    fn add(&mut self, relation: &str, index: bool, mode: &str) {
        let Some(strength) = MODES.iter().position(|known| *known == mode) else {
            assert_eq!(mode, "AccessShareLock", "{relation}");
            return;
        };
        if index && strength < FIRST_ON_INDEXES {
            return;
        }
        let held = self.0.entry(relation.to_string()).or_insert(strength);
        *held = strength.max(*held);
    }

    fn shown(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(relation, strength)| (relation.clone(), MODES[*strength].to_string())).collect()
    }
}
