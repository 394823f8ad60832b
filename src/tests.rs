//! Tests inside a server, each in a transaction that is rolled back. What needs several sessions, CONCURRENTLY or VACUUM is
//! in tests/scenarios; every rule's cases are run there too.

#[pgrx::pg_schema]
mod tests {
    use crate::db::{self, guarded};
    use crate::facts::{Catalog, Facts, TableNames};
    use crate::rule::{Need, Options};
    use crate::rules;
    use pgrx::prelude::*;

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn number(sql: &str) -> i64 {
        db::read(sql, &[], |row| row.take::<i64>())[0]
    }

    #[pg_test]
    fn guarded_returns_what_a_body_returns() {
        assert_eq!(guarded(|| number("select 7::bigint")).unwrap(), 7);
    }

    #[pg_test]
    fn guarded_catches_sql_errors_and_the_transaction_goes_on() {
        let caught = guarded(|| number("select 1::bigint / 0")).unwrap_err();
        assert_eq!((caught.sqlstate.as_str(), caught.message.as_str()), ("22012", "division by zero"));
        assert_eq!(number("select 1::bigint"), 1);
    }

    #[pg_test]
    fn guarded_catches_panics() {
        let caught = guarded(|| -> () { panic!("a broken rule") }).unwrap_err();
        assert_eq!((caught.sqlstate.as_str(), caught.message.as_str()), ("XX000", "a broken rule"));
    }

    #[pg_test]
    fn guarded_leaks_nothing_in_a_thousand_errors() {
        let held = || number("select sum(used_bytes)::bigint from pg_backend_memory_contexts");
        let fail = |times: usize| (0..times).for_each(|_| assert!(guarded(|| number("select 1::bigint / 0")).is_err()));
        fail(100);
        let before = held();
        fail(1000);
        assert!(held() - before < 1_000_000, "{} bytes", held() - before);
    }

    #[pg_test]
    #[should_panic(expected = "canceling statement due to user request")]
    fn guarded_lets_a_cancel_pass() {
        let _ =
            guarded(|| number("select count(pg_sleep(10)) from (select pg_cancel_backend(pg_backend_pid())) cancel"));
    }

    #[pg_test]
    #[should_panic(expected = "does not declare that it needs the column statistics")]
    fn a_fact_that_was_not_asked_for_is_not_there() {
        Facts::read(&[Need::Catalog], None).column_statistics();
    }

    #[pg_test]
    fn every_option_accepts_its_default() {
        for rule in rules::all() {
            for option in rule.options {
                assert_eq!(option.refuse(&option.default()), None, "{}.{}", rule.id, option.name);
            }
            assert!(Options::resolve(rule, &Default::default()).is_ok());
        }
    }

    #[pg_test]
    fn filters_are_found_wherever_a_statement_has_them() {
        run(
            "create schema s; create table s.t (id bigint, name varchar, tags text[]); create table s.u (uid bigint, t_id bigint)",
        );
        let catalog = Catalog::read(None);
        let names = TableNames::of(&catalog);
        let found = |sql: &str| {
            let text = std::ffi::CString::new(sql).unwrap();
            let filters =
                guarded(|| crate::facts::filters(&text, &names, &["none".to_string(), "s".to_string()])).unwrap();
            filters.map(|filters| {
                filters.iter().map(|f| format!("{} {}", f.column, f.operator)).collect::<Vec<_>>().join(", ")
            })
        };
        let expected = [
            ("select from t where id = $1 and 5 > id", Some("1 =, 1 >")),
            ("select from s.t where name like 'a%' or tags @> $1", Some("2 ~~, 3 @>")),
            ("select from t where id = any ($1) and name is not null", Some("1 = ANY, 2 IS NOT NULL")),
            ("select from t where id in (1, 2) and id not in (3)", Some("1 = ANY, 1 <> ALL")),
            ("select from t as x where x.id between 1 and 2 and t.id = 3", Some("1 BETWEEN")),
            ("select from t join u on u.t_id = t.id where u.uid = 3", Some("1 =")),
            ("select from t join u on t_id = id and uid = 3", Some("1 =")),
            ("select from t a, t b where id = 3", Some("")),
            ("select from t, (select 1 as x) y where x = 3 and id = 3", Some("1 =")),
            ("select (select max(uid) from u where u.t_id = t.id and uid > 4 and name = 'a') from t", Some("1 >, 2 =")),
            ("with w as (select * from t where id < 5) select from w where id > 1", Some("1 <")),
            ("with t as (select 1 as id) select from t where id > 1", Some("")),
            ("select from t where id = 1 union select from u where uid = 2", Some("1 =, 1 =")),
            ("update t set name = 'x' from u where t_id = id and name = 'y'", Some("2 =")),
            ("delete from t using u where u.uid = 7 and t.id = u.t_id", Some("1 =")),
            ("insert into t (id) select uid from u where uid > 3", Some("1 >")),
            ("select id + 1, lower(name) from t", Some("")),
            ("select from gone where id = 1", Some("")),
            ("truncate t", None),
            ("select 1; select 2", None),
        ];
        for (sql, filters) in expected {
            assert_eq!(found(sql).as_deref(), filters, "{sql}");
        }
    }

    #[pg_test]
    fn identifiers_are_quoted_as_the_server_does() {
        for name in ["plain", "Größe", "two words", "select", "a\"b", "", "1a"] {
            let by_server = db::read("select quote_ident($1)", &[name.into()], |row| row.take::<String>());
            assert_eq!(db::quote_identifier(name), by_server[0]);
        }
    }
}

/// cargo pgrx test calls these.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec!["autovacuum = off"]
    }
}
