use crate::facts::Facts;
use crate::facts::migration::UnreadKind;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "migration_in_python",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The text is Python, as the source of an Alembic revision or a Django migration, and not the SQL that comes of it.",
    effect: "Nothing of it has been reviewed.",
    workaround: "Pass what `alembic upgrade --sql` or Django's `sqlmigrate` prints.",
    sources: &[
        "https://alembic.sqlalchemy.org/en/latest/offline.html",
        "https://docs.djangoproject.com/en/5.2/ref/django-admin/#sqlmigrate",
    ],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a revision of Alembic",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$from alembic import op\nimport sqlalchemy as sa\n\ndef upgrade():\n    op.add_column('t', sa.Column('c', sa.Integer()))\n$m$ as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "what Alembic prints of it",
            setup: "create table t (id int primary key, a int, b text); insert into t select g, g % 7, 'x' from generate_series(1, 2000) g; analyze t; create table example as select $m$BEGIN;\n\n-- Running upgrade 1 -> 2\n\nALTER TABLE t ADD COLUMN c INTEGER;\n\nCOMMIT;$m$ as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let unread = facts.migration().unread.iter().filter(|unread| unread.what == UnreadKind::Python);
    let findings = unread.map(|unread| Finding {
        severity: RULE.severity,
        object: format!("line {}", unread.line),
        summary: "The text is Python, not SQL: nothing of it has been reviewed".to_string(),
        cause: "What is reviewed is the SQL that the server gets; Python says it only when it runs.".to_string(),
        evidence: object! { "line": unread.line, "text": unread.text, "why": unread.why },
        app_fix: Some("Pass the output of: alembic upgrade <from>:<to> --sql (Django: python manage.py sqlmigrate <app> <migration>).".to_string()),
        risk: "It has not been reviewed.".to_string(),
        ..Finding::that_changes_nothing()
    });
    Ok(findings.collect())
}
