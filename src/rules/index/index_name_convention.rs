use crate::db::quote_literal;
use crate::facts::{Facts, Name};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "index_name_convention",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: false,
    condition: "The name of an index does not match the regular expression pattern. Parts of partitioned indexes are not judged.",
    effect: "Names that follow no rule hide what an index is for, and duplicates with it.",
    workaround: "Rename it; the index of a constraint is renamed with the constraint.",
    sources: &["https://www.postgresql.org/docs/17/sql-alterindex.html"],
    options: &[OptionSpec::pattern(
        "pattern",
        "^[a-z_][a-z0-9_]*_(pkey|key|excl|idx)[0-9]*$",
        "What names must match; the default is Postgres' own style.",
    )],
    needs: &[Need::Catalog, Need::RelationNames],
    cases: &[
        Case {
            name: "another style",
            setup: "create table t (a int primary key, b int); create index \"IX_t_b\" on t (b)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a constraint of another style: its name may be in use",
            setup: "create table t (a int constraint uq_t_a unique)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "Postgres' own style",
            setup: "create table t (a int primary key, b int unique, c int); create index on t (c)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let pattern = options.pattern("pattern");
    let mut namer = facts.relation_names().namer();
    let unconventional =
        catalog.indexes().filter(|(_, index)| index.parent.is_none() && !pattern.is_match(index.name.raw()));
    let findings = unconventional.map(|(table, index)| {
        let expression: Name = "expr".to_string().into();
        let columns = index.key_attributes().map(|number| table.column(number).map_or(&expression, |column| &column.name));
        let proposed = namer.index(&table.name, &columns.collect::<Vec<_>>());
        let fits = index.constraint.is_none() && pattern.is_match(proposed.name.raw());
        let name = table.index_name(index);
        let mut why = "";
        if index.constraint.is_some() {
            why = " It is the index of a constraint, whose name statements may use (ON CONFLICT ON CONSTRAINT): rename that.";
        } else if !fits {
            why = " No name made of the table and its columns matches the pattern either.";
        }
        Finding {
            severity: RULE.severity,
            weight: 0,
            summary: format!("The name of index {name} does not match {pattern}"),
            cause: format!("The convention of this database is {pattern}.{why}"),
            evidence: object! { "table": table.name.to_string(), "pattern": pattern.as_str() },
            impact: object! {},
            fix_sql: fits.then(|| format!("ALTER INDEX {name} RENAME TO {};", proposed.name)),
            app_fix: None,
            risk: "SHARE UPDATE EXCLUSIVE on the index for a moment. Scripts, hints and migrations that name it must follow."
                .to_string(),
            rollback: match fits {
                true => Rollback::Sql(format!("ALTER INDEX {proposed} RENAME TO {};", index.name)),
                false => Rollback::None,
            },
            verify_sql: fits.then(|| {
                format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL AS renamed;", quote_literal(&proposed.to_string()))
            }),
            object: name.to_string(),
        }
    });
    Ok(findings.collect())
}
