use crate::db::{quote_identifier, quote_literal};
use crate::facts::{Facts, Watch};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "n_plus_one_not_watched",
    category: "query",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Sessions of this database do not load pg_dbre's hook: neither shared_preload_libraries nor session_preload_libraries \
                names pg_dbre; or dbre.n_plus_one_threshold is 0.",
    effect: "Repeated statements can only be inferred from the sums of pg_stat_statements: which page they are of, and whether they are \
             one burst, is not known.",
    workaround: "session_preload_libraries for this database needs no restart: sessions that begin then are watched. Suppress the \
                 finding where the sums are enough.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-SESSION-PRELOAD-LIBRARIES"],
    options: &[],
    needs: &[Need::Lookups],
    cases: &[
        Case {
            name: "the library is not preloaded",
            setup: "create table traffic as select 1 as step, 'select 1' as query, 1 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "another library is preloaded, and stays",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = auto_explain', current_database()); end $$",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the hook is off",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = pg_dbre', current_database()); execute \
                    format('alter database %I set dbre.n_plus_one_threshold = 0', current_database()); end $$",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "sessions of the database load it",
            setup: "do $$ begin execute format('alter database %I set session_preload_libraries = pg_dbre', current_database()); end $$",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let watch = &facts.lookups().watch;
    let database = quote_identifier(&facts.database.name);
    Ok(match (watch.loaded, watch.on) {
        (true, true) => Vec::new(),
        (true, false) => vec![switched_off(&database)],
        (false, _) => vec![not_loaded(watch, &database)],
    })
}

fn not_loaded(watch: &Watch, database: &str) -> Finding {
    let now: Option<Vec<String>> = watch.session_preload_libraries.as_ref().map(|setting| libraries(setting));
    let set = |libraries: &[String]| {
        let list: Vec<String> = libraries.iter().map(|library| quote_literal(library)).collect();
        format!("ALTER DATABASE {database} SET session_preload_libraries = {};", list.join(", "))
    };
    let rollback = now.as_ref().map(|libraries| match libraries.as_slice() {
        [] => format!("ALTER DATABASE {database} RESET session_preload_libraries;"),
        before => set(before),
    });
    Finding {
        object: "session_preload_libraries".to_string(),
        summary: "Bursts of repeated statements are not watched: pg_dbre is not preloaded in sessions of this database".to_string(),
        cause: "The hook is opt-in. Without it N+1 is inferred from the sums of pg_stat_statements alone, and what ran before a \
                statement, in which transaction and for which route of the application, is not known."
            .to_string(),
        evidence: object! { "session_preload_libraries": watch.session_preload_libraries },
        fix_sql: now.map(|libraries| set(&[libraries, vec!["pg_dbre".to_string()]].concat())),
        app_fix: Some("Let the pool reconnect (pool_recycle, or restart the application): only new sessions are watched.".to_string()),
        risk: "New sessions load the library, and each statement passes the hook: below 2% of pgbench -S (bin/bench n-plus-one). Off \
               with dbre.n_plus_one_threshold = 0."
            .to_string(),
        rollback: rollback.map_or(Rollback::None, Rollback::Sql),
        verify_sql: Some(
            "SELECT pg_catalog.current_setting('session_preload_libraries') LIKE '%pg_dbre%' AS in_a_new_session;".to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

fn switched_off(database: &str) -> Finding {
    Finding {
        object: "dbre.n_plus_one_threshold".to_string(),
        summary: "Bursts of repeated statements are not watched: dbre.n_plus_one_threshold is 0".to_string(),
        cause: "The hook is loaded, and returns at once.".to_string(),
        evidence: object! { "n_plus_one_threshold": 0 },
        fix_sql: Some(format!("ALTER DATABASE {database} SET dbre.n_plus_one_threshold = 10;")),
        risk: "Each statement of new sessions passes the hook: below 2% of pgbench -S (bin/bench n-plus-one)."
            .to_string(),
        rollback: Rollback::Sql(format!("ALTER DATABASE {database} SET dbre.n_plus_one_threshold = 0;")),
        verify_sql: Some(
            "SELECT pg_catalog.current_setting('dbre.n_plus_one_threshold') <> '0' AS in_a_new_session;".to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

/// `a, "B c"` as a list of names.
fn libraries(setting: &str) -> Vec<String> {
    let parts = setting.split(',').map(|name| name.trim().trim_matches('"').replace("\"\"", "\""));
    parts.filter(|name| !name.is_empty()).collect()
}
