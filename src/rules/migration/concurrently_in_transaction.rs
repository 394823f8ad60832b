use crate::advice::migration_step::{self};
use crate::facts::Facts;
use crate::facts::migration::{Effect, Failure};
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "concurrently_in_transaction",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A statement that PostgreSQL refuses in a transaction block (CONCURRENTLY, VACUUM, CREATE DATABASE …) inside of one, or in a migration that its runner wraps in one.",
    effect: "The migration fails there, and all of its transaction is undone.",
    workaround: "Run it in a migration of its own without a transaction: autocommit_block() of Alembic, `-- +goose NO TRANSACTION`, `transaction:false` of dbmate, `-- no-transaction` of sqlx.",
    sources: &["https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "an index",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'begin; create index concurrently t_a on t (a); commit' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "vacuum",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'begin; vacuum t; commit' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "outside",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select 'create index concurrently t_a on t (a); begin; analyze t; commit; vacuum t' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for (step, effect) in migration.effects(RULE.id) {
        let Effect::Fails { why: Failure::InTransaction { what }, sqlstate, .. } = effect else { continue };
        let mut finding = migration_step::without_table(step, what, RULE.severity);
        finding.summary = format!("{what} in a transaction block: PostgreSQL refuses it");
        finding.cause = "It commits on its own while it runs, so it cannot be part of a transaction.".to_string();
        finding.evidence.insert("sqlstate".into(), (*sqlstate).into());
        finding.app_fix = Some(
            "Put it in a revision of its own, in Alembic: with op.get_context().autocommit_block(): op.execute(…)"
                .to_string(),
        );
        findings.push(finding);
    }
    Ok(findings)
}
