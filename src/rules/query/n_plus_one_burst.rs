use crate::advice::eager_loading::{BATCH_ROWS, HIGH_PER_PARENT, LARGE_COLLECTION, ROUND_TRIP_MS};
use crate::advice::lookups::{Repetitions, Thresholds};
use crate::advice::repeated_bursts::{Judged, finding, groups};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Skip, Verdict};

pub static RULE: Rule = Rule {
    id: "n_plus_one_burst",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The hook has seen a client repeat a SELECT that reads tables, at least dbre.n_plus_one_threshold times in one \
                transaction or within dbre.n_plus_one_window, each time with few rows. With different parameters after a statement that \
                returned several rows: N+1, of severity high when those rows lead to it by a foreign key. With the same parameters: a \
                query that is sent again though its answer is known. Silent for statements that sessions send over and over outside \
                transactions with nothing before them: hot lookups.",
    effect: "A page that shows N rows waits for N+1 round trips. Each statement is fast and none is slow in any log; all together they \
             hold a connection of the pool for as long.",
    workaround: "Load what the rows refer to with them: a join, or one more statement for all keys (app_fix, replacement_query in \
                 evidence). What is asked again with the same parameters is to be kept for the request.",
    sources: &[
        "https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html#what-kind-of-loading-to-use",
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-SESSION-PRELOAD-LIBRARIES",
    ],
    options: &[
        HIGH_PER_PARENT,
        OptionSpec::number(
            "high_waiting_ms",
            (100.0, "ms"),
            (0.0, 1e6),
            "Time that one burst takes, round trips included, from which on it is of severity high.",
        ),
        OptionSpec::number(
            "high_total_ms",
            (10_000.0, "ms"),
            (0.0, 1e12),
            "Time of all bursts together, round trips included, from which on it is of severity high.",
        ),
        OptionSpec::number(
            "min_bursts",
            (3.0, "bursts"),
            (1.0, 1e9),
            "A statement that was seen in fewer is of severity low, unless min_waiting_ms: it may be a job.",
        ),
        OptionSpec::number(
            "min_waiting_ms",
            (1000.0, "ms"),
            (0.0, 1e9),
            "Time of all bursts together, round trips included, from which on few of them are of severity medium.",
        ),
        BATCH_ROWS,
        LARGE_COLLECTION,
        ROUND_TRIP_MS,
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Lookups, Need::Bursts],
    cases: &[
        Case {
            name: "the author of each book, one by one",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = pg_dbre', current_database()); end $$; \
                    create table authors (id int primary key, name text); create table books (id int primary key, author_id int not \
                    null references authors, title text); insert into authors select g, 'a' || g from generate_series(1, 100) g; \
                    insert into books select g, g, 't' from generate_series(1, 100) g; create index on books (author_id); \
                    analyze; create table traffic as select * from (values (1, 'begin', 1), (2, 'select id, author_id, title from \
                    books where id <= 40', 1), (3, 'select id, name from authors where id = %s', 40), (4, 'commit', 1)) \
                    t (step, query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the same answer again and again",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = pg_dbre', current_database()); end $$; \
                    create table settings (name text primary key, value text); create table traffic as select * from (values (1, \
                    'begin', 1), (2, 'select value from settings where name = ''color''', 40), (3, 'commit', 1)) t \
                    (step, query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all keys at once, and a statement without tables",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = pg_dbre', current_database()); end $$; \
                    create table authors (id int primary key, name text); create table books (id int primary key, author_id int not \
                    null references authors); create table traffic as select * from (values (1, 'begin', 1), (2, 'select id, \
                    author_id from books', 2), (3, 'select id, name from authors where id in (1, 2, 3)', 2), (4, 'select 1', 20), \
                    (5, 'commit', 1)) t (step, query, times)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Of statements in bursts, whatever their number in the statistics.
const STATISTICS: Thresholds = Thresholds { min_calls: 10.0, min_calls_per_parent: 5.0 };

fn check(facts: &Facts, options: &Options) -> Verdict {
    let lookups = facts.lookups();
    if !lookups.watch.loaded && facts.bursts().is_empty() {
        return Err(Skip("the hook is not loaded: see n_plus_one_not_watched".to_string()));
    }
    let repetitions = Repetitions::of(facts.catalog(), facts.column_statistics(), lookups, STATISTICS);
    let judged = groups(facts.bursts()).into_iter().filter_map(|group| Judged::of(facts, options, &repetitions, group));
    Ok(judged.map(|judged| finding(facts, options, &judged)).collect())
}
