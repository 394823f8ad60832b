use crate::advice::eager_loading::{
    BATCH_ROWS, HIGH_PER_PARENT, LARGE_COLLECTION, ROUND_TRIP_MS, Repeated, add_advice, add_impact, share, statistics,
    verify_sql, waiting,
};
use crate::advice::lookups::{Confidence, Repetition, Repetitions, Thresholds};
use crate::advice::measured_query::{excerpt, object_of};
use crate::facts::{Facts, shortened};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Skip, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "n_plus_one_query",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A SELECT of pg_stat_statements that looks up by a unique key or a foreign key ran at least min_calls times, at least \
                min_calls_per_parent times as often as another statement of the same role and database that returns several rows of \
                the table at the other side of the foreign key with the key's columns, and 0.2 to 1.1 times as often as \
                those rows lead to lookups: each row once, or for many-to-one each different value once, by the statistics of the \
                column. Statements that take several keys at once (IN, = ANY), that join the table already, that write, lock or \
                group, or that functions run do not count. It is an inference from sums: confidence is said, and without high confidence, or where the hook is loaded and has \
                not seen it, severity is low.",
    effect: "A page that shows N rows waits for N+1 round trips. Each statement is fast and none is slow in any log; all \
             together they hold a connection of the pool for as long.",
    workaround: "Load what the rows refer to with them: a join, or one more statement for all keys (app_fix, replacement_query in \
                 evidence). dbre.n_plus_one_bursts, where the hook is loaded, shows single repetitions exactly.",
    sources: &[
        "https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html#what-kind-of-loading-to-use",
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
    ],
    options: &[
        OptionSpec::number(
            "min_calls",
            (100.0, "calls"),
            (10.0, 1e12),
            "Statements that ran less often are left alone.",
        ),
        OptionSpec::number(
            "min_calls_per_parent",
            (5.0, "calls"),
            (2.0, 1e6),
            "With fewer calls for each of the parent it is no repetition.",
        ),
        HIGH_PER_PARENT,
        OptionSpec::number(
            "high_share",
            (0.05, "of all time"),
            (0.0, 1.0),
            "Share of the statements' time from which on the repetition is of severity high.",
        ),
        OptionSpec::number(
            "high_waiting_ms",
            (100.0, "ms"),
            (0.0, 1e6),
            "Time that one call of the parent waits for its lookups, from which on the repetition is of severity high.",
        ),
        OptionSpec::number(
            "min_parent_calls",
            (5.0, "calls"),
            (1.0, 1e9),
            "A parent that ran less often may be a job rather than a page: not of severity high.",
        ),
        BATCH_ROWS,
        LARGE_COLLECTION,
        ROUND_TRIP_MS,
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::Lookups],
    cases: &[
        Case {
            name: "the author of each book, one by one",
            setup: "create extension pg_stat_statements; create table authors (id int primary key, name text); create table books (id int \
                    primary key, author_id int not null references authors, title text); insert into authors select g, 'a' || g from \
                    generate_series(1, 500) g; insert into books select g, g, 't' from generate_series(1, 500) g; create index on \
                    books (author_id); analyze; create table traffic as select * from (values (1, 'select id, author_id, title \
                    from books where id between %s * 50 - 49 and %s * 50', 10), (2, 'select id, name from authors where id = \
                    %s', 500)) t (step, query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the comments of each post, as SQLAlchemy writes it, with a tenant and a soft delete",
            setup: "create extension pg_stat_statements; create table posts (tenant_id int, id int, primary key (tenant_id, id)); create table \
                    comments (id int primary key, tenant_id int not null, post_id int not null, deleted boolean not null default \
                    false, body text, foreign key (tenant_id, post_id) references posts); create index on comments (tenant_id, \
                    post_id); insert into posts select 1, g from generate_series(1, 30) g; insert into comments select g, 1, 1 + g % \
                    30, false, 'b' from generate_series(1, 90) g; analyze; create table traffic as select * from (values (1, \
                    'SELECT posts.tenant_id AS posts_tenant_id, posts.id AS posts_id FROM posts WHERE posts.tenant_id = 1', \
                    10), (2, 'SELECT comments.id AS comments_id, comments.body AS comments_body FROM comments WHERE 1 = \
                    comments.tenant_id AND %s = comments.post_id AND NOT comments.deleted ORDER BY comments.id', 300)) t (step, \
                    query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a count for each post",
            setup: "create extension pg_stat_statements; create table posts (id int primary key); create table comments (id int primary key, \
                    post_id int not null references posts); create index on comments (post_id); insert into posts select \
                    generate_series(1, 30); insert into comments select g, 1 + g % 30 from generate_series(1, 90) g; analyze; create \
                    table traffic as select * from (values (1, 'select id from posts', 10), (2, 'select count(*) from comments \
                    where post_id = %s', 300)) t (step, query, times)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "all keys at once, and a join",
            setup: "create extension pg_stat_statements; create table authors (id int primary key, name text); create table books (id int \
                    primary key, author_id int not null references authors); insert into authors select g, 'a' || g from \
                    generate_series(1, 50) g; insert into books select g, g from generate_series(1, 50) g; analyze; create \
                    table traffic as select * from (values (1, 'select id, author_id from books', 100), (2, 'select id, name \
                    from authors where id in (1, 2, 3, %s)', 1000), (3, 'select b.id, b.author_id, a.id, a.name from books b \
                    join authors a on a.id = b.author_id', 100)) t (step, query, times)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a lookup that is hot by itself",
            setup: "create extension pg_stat_statements; create table users (id int primary key, name text); create table orders (id int \
                    primary key, user_id int not null references users); insert into users select g, 'a' || g from \
                    generate_series(1, 500) g; insert into orders select g, g from generate_series(1, 500) g; analyze; create \
                    table traffic as select * from (values (1, 'select id, user_id from orders where id <= 2', 4), (2, 'select \
                    id, name from users where id = %s', 900), (3, 'select id, user_id from orders where user_id = %s', 900)) \
                    t (step, query, times)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let lookups = facts.lookups();
    if !lookups.known {
        return Err(Skip("pg_stat_statements is not installed in this database, or not preloaded".to_string()));
    }
    let thresholds = Thresholds {
        min_calls: options.number("min_calls"),
        min_calls_per_parent: options.number("min_calls_per_parent"),
    };
    let repetitions = Repetitions::of(facts.catalog(), facts.column_statistics(), lookups, thresholds);
    let found = lookups.statements.iter().filter_map(|statement| repetitions.judge(statement));
    Ok(found.map(|repetition| finding(facts, options, &repetition)).collect())
}

fn finding(facts: &Facts, options: &Options, repetition: &Repetition) -> Finding {
    let lookup = &repetition.lookup.measured;
    let parent = &repetition.parents[0].measured;
    let parent_calls: u64 = repetition.parents.iter().map(|parent| parent.measured.calls).sum();
    let parent_rows: u64 = repetition.parents.iter().map(|parent| parent.measured.rows).sum();
    let repeated = Repeated {
        shape: &repetition.lookup.shape,
        relations: &repetition.relations,
        rows_per_lookup: lookup.rows_per_call(),
        rows_per_parent: parent_rows as f64 / parent_calls.max(1) as f64,
        lookups_per_parent: lookup.calls as f64 / parent_calls.max(1) as f64,
    };
    let severity = severity(facts, options, repetition, &repeated, parent_calls);
    let several = match repetition.parents.len() {
        1 => String::new(),
        number => format!(" and {} like it", Count(number as u64 - 1)),
    };
    let mut finding = Finding {
        severity,
        object: object_of(lookup.query_id, &lookup.role_name),
        weight: lookup.total_ms as u64,
        summary: format!(
            "{}: {} of {:.2} ms, {:.0} for each call of {}{several} ({}, confidence {})",
            excerpt(&lookup.text),
            Count(lookup.calls).of("call"),
            lookup.mean_ms(),
            repeated.lookups_per_parent,
            excerpt(&parent.text),
            repeated.cardinality(),
            repetition.confidence.name(),
        ),
        cause: cause(facts, repetition, &repeated, options),
        evidence: object! {
            "query_id": lookup.query_id,
            "role": lookup.role_name,
            "query": shortened(&lookup.text),
            "parent_rows_per_call": rounded(repeated.rows_per_parent),
            "statistics": statistics(facts, repetition),
        },
        verify_sql: verify_sql(facts, lookup.role, &[lookup.query_id, parent.query_id]),
        risk: "A change of the application: one statement returns more rows at once.".to_string(),
        ..Finding::that_changes_nothing()
    };
    add_advice(&mut finding, facts, &repeated, options);
    add_impact(&mut finding, (repeated.lookups_per_parent, "estimated"), lookup.mean_ms(), options);
    finding
}

fn severity(
    facts: &Facts,
    options: &Options,
    repetition: &Repetition,
    repeated: &Repeated,
    parent_calls: u64,
) -> Severity {
    let lookup = &repetition.lookup.measured;
    // What the hook watches and has not seen is not so.
    if repetition.confidence != Confidence::High || is_batch(repeated, options) || is_watched(facts) {
        return Severity::low;
    }
    let (waiting_ms, _) = waiting(repeated.lookups_per_parent, lookup.mean_ms(), options);
    let matters =
        share(facts, lookup) >= options.number("high_share") || waiting_ms >= options.number("high_waiting_ms");
    let is_high = matters
        && repeated.lookups_per_parent >= options.number("high_lookups_per_parent")
        && parent_calls as f64 >= options.number("min_parent_calls");
    if is_high { Severity::high } else { Severity::medium }
}

fn is_watched(facts: &Facts) -> bool {
    let watch = &facts.lookups().watch;
    watch.loaded && watch.on
}

fn is_batch(repeated: &Repeated, options: &Options) -> bool {
    repeated.rows_per_parent > options.number("batch_rows")
}

fn cause(facts: &Facts, repetition: &Repetition, repeated: &Repeated, options: &Options) -> String {
    let mut cause = format!(
        "The rows of the parent lead to this lookup by {}, and it runs about once for each that is not loaded yet, as a lazy load \
         or a loop does.",
        repeated.told(facts.catalog())
    );
    if !repetition.others.is_empty() {
        let others = Count(repetition.others.len() as u64).of("other statement");
        cause += &format!(" Rows of {others} could lead to it too.");
    }
    if is_batch(repeated, options) {
        cause +=
            " The parent returns so many rows that it looks like a batch job: a set of keys at a time would do there.";
    }
    if let Some(single) = repetition.one_by_one {
        let single = excerpt(&single.measured.text);
        cause += &format!(
            " {single} ran as often: a request that shows one object with what belongs to it would do that too."
        );
    }
    cause
        + match is_watched(facts) {
            true => {
                " The hook is loaded and has recorded no burst of it with rows before it: it is from before, or no repetition."
            }
            false => " Sums cannot prove it: where the hook is loaded, dbre.n_plus_one_bursts does.",
        }
}
