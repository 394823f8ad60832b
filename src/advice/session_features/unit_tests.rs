//! What single texts use.

use super::*;

#[test]
fn what_outlives_a_transaction() {
    use SessionFeature::*;
    for (text, features) in [
        ("listen jobs", vec![Listen]),
        ("/* app */ LISTEN \"Jobs\"", vec![Listen]),
        ("notify jobs", vec![]),
        ("set statement_timeout = 0", vec![Timeout]),
        ("SET SESSION lock_timeout TO '5s'", vec![Timeout]),
        ("set work_mem = '1GB'", vec![Setting]),
        ("set session work_mem to '1GB'", vec![Setting]),
        ("set work_mem to default", vec![Timeout]),
        ("set session search_path = DEFAULT", vec![Timeout]),
        ("set search_path = 'default'", vec![Setting]),
        ("set session authorization app", vec![Role]),
        ("set datestyle to default", vec![]),
        ("reset work_mem", vec![]),
        ("set session characteristics as transaction read only", vec![Setting]),
        ("set role reporting", vec![Role]),
        ("SET SESSION ROLE reporting", vec![Role]),
        ("set local role reporting", vec![]),
        ("set local statement_timeout = 0", vec![]),
        ("set transaction isolation level serializable", vec![]),
        ("set constraints all deferred", vec![]),
        ("set application_name to 'x'", vec![]),
        ("set names 'UTF8'", vec![]),
        ("SET extra_float_digits TO 3", vec![]),
        ("SET synchronize_seqscans TO off", vec![]),
        ("set session client_min_messages = warning", vec![]),
        ("set bytea_output = 'escape'", vec![]),
        ("set row_security = off", vec![Setting]),
        ("PREPARE dumpFunc(pg_catalog.oid) AS select 1", vec![]),
        ("EXECUTE getColumnACLs('1')", vec![]),
        ("set time zone 'UTC'", vec![]),
        ("set session time zone 'UTC'", vec![]),
        ("set DateStyle = ISO", vec![]),
        ("select pg_catalog.pg_advisory_lock($1)", vec![AdvisoryLock]),
        ("select pg_try_advisory_lock($1, $2)", vec![AdvisoryLock]),
        ("select pg_advisory_xact_lock($1)", vec![]),
        ("select 'pg_advisory_lock(1)'", vec![]),
        ("select pg_advisory_unlock($1)", vec![]),
        ("select set_config($1, $2, $3)", vec![]),
        ("select set_config('a.b', coalesce('x', 'y'), false)", vec![Setting]),
        ("select set_config('a.b', ',)', 'off'::boolean), 1", vec![Setting]),
        ("select set_config('a.b', 'x', null)", vec![Setting]),
        ("select set_config($1, 'x', FALSE)", vec![Setting]),
        ("select set_config('a.b', 'x', true)", vec![]),
        ("select pg_catalog.set_config('TimeZone', 'UTC', false)", vec![]),
        ("select set_config('application_name'::text, $1, false)", vec![]),
        ("select set_config('a.b', 'x', true), set_config('a.c', 'x', false)", vec![Setting]),
        ("create temp table t (a int)", vec![TemporaryTable]),
        ("create local temporary table t as select 1", vec![TemporaryTable]),
        ("create temp table t (a int) on commit drop", vec![]),
        ("create table temp (a int)", vec![]),
        ("select a into temp t from b", vec![TemporaryTable]),
        ("select a into temporary table t from b", vec![TemporaryTable]),
        ("select a into temp from b", vec![]),
        ("select a into \"temp\" t from b", vec![]),
        ("with i as (insert into temp values (1) returning a) select a from i", vec![]),
        ("with m as (merge into temp t using b on true when matched then do nothing returning 1) select 1", vec![]),
        ("create or replace temp view v as select 1", vec![TemporaryTable]),
        ("create table pg_temp.foo (a int)", vec![TemporaryTable]),
        ("create unlogged table app.temp (a int)", vec![]),
        ("declare c cursor with hold for select 1", vec![HeldCursor]),
        ("declare c cursor for select 1", vec![]),
        ("prepare p as select 1", vec![PreparedInSql]),
        ("prepare transaction 'x'", vec![]),
        ("execute p(1)", vec![PreparedInSql]),
        ("load 'auto_explain'", vec![Load]),
        ("", vec![]),
        ("set", vec![]),
        ("select 'open", vec![]),
    ] {
        assert_eq!(SessionFeature::of(text), features, "{text}");
    }
}

#[test]
fn what_a_sequence_has_drawn() {
    use SessionFeature::*;
    for (text, features) in [
        ("SELECT lastval()", vec![SequenceValue]),
        ("insert into b values (currval('a_id_seq'))", vec![SequenceValue]),
        ("select pg_catalog.currval($1), set_config($2, $3, $4)", vec![Setting, SequenceValue]),
        ("select nextval('a_id_seq'), currval('a_id_seq')", vec![]),
        ("select 'lastval()', lastval from t", vec![]),
    ] {
        assert_eq!(SessionFeature::maybe_of(text), features, "{text}");
        assert!(SessionFeature::of(text).is_empty(), "{text}");
    }
}

#[test]
fn the_example_is_what_ran_most() {
    let found = used([("listen a", 2), ("listen b", 7), ("select 1", 9)]);
    let expected = Used { feature: SessionFeature::Listen, statements: 2, calls: 9, example: "listen b".to_string() };
    assert_eq!(found, [expected]);
}
