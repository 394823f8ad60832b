use crate::advice::migration_step::{self, size};
use crate::advice::migration_tables::together;
use crate::facts::Facts;
use crate::facts::migration::Scan;
use crate::finding::Severity;
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, listing};

pub static RULE: Rule = Rule {
    id: "domain_constraint_scans_tables",
    category: "migration",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "ALTER DOMAIN … ADD CHECK, SET NOT NULL or VALIDATE CONSTRAINT of a domain that columns with rows are of.",
    effect: "SHARE lock on every table that uses the domain while each is read from end to end, one after another: writes to all of them wait for all of them.",
    workaround: "ADD CONSTRAINT … NOT VALID, then VALIDATE CONSTRAINT at a quiet time; it blocks writes too.",
    sources: &["https://www.postgresql.org/docs/17/sql-alterdomain.html"],
    options: &[],
    needs: &[Need::Migration],
    cases: &[
        Case {
            name: "a check",
            setup: "create domain d as int; create table u (v d); insert into u select g from generate_series(1, 1000) g; analyze u; create table example as select 'alter domain d add constraint positive check (value > 0)' as migration",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "not valid, not used",
            setup: "create domain d as int; create domain e as int; create table u (v d); insert into u values (1); create table example as select 'alter domain d add constraint positive check (value > 0) not valid; alter domain e set not null' as migration",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let migration = facts.migration();
    let mut findings = Vec::new();
    for step in migration.judged(RULE.id) {
        let scanned = || {
            step.scans().filter_map(|(table, why)| match why {
                Scan::Domain { domain, .. } => Some((table, domain)),
                _ => None,
            })
        };
        let (Some((_, domain)), Some(whole)) = (scanned().next(), together(scanned().map(|(table, _)| table))) else {
            continue;
        };
        let tables: Vec<String> = scanned().map(|(table, _)| table.name.to_string()).collect();
        let mut finding = migration_step::finding(migration, step, &whole, &format!("domain {domain}"));
        finding.summary = format!(
            "Changing domain {domain} reads {} under a SHARE lock: {}",
            Count(tables.len() as u64).of("table"),
            size(&whole)
        );
        finding.cause = format!("Columns of {} are of the domain, and every value is checked.", listing(&tables));
        finding.evidence.insert("tables".into(), tables.into());
        findings.push(finding);
    }
    Ok(findings)
}
