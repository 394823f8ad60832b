//! Columns that a migration brings in, for rules on their types.

use crate::advice::migration_step;
use crate::facts::migration::{Column, Effect, Migration, ObjectKind, Step};
use crate::finding::{Finding, Severity};

/// Of new tables, and added to others, with the step and the table's name. What comes from a parent, or ends with the session, is
/// left out.
pub fn new_columns<'a>(
    migration: &'a Migration,
    rule: &'a str,
) -> impl Iterator<Item = (&'a Step, String, &'a Column)> {
    migration.judged(rule).flat_map(|step| {
        step.effects.iter().flat_map(move |effect| {
            let (table, columns): (String, Vec<&Column>) = match effect {
                Effect::CreatesTable { table }
                    if matches!(table.kind, ObjectKind::Table | ObjectKind::PartitionedTable)
                        && !table.temporary
                        && table.parents.is_empty() =>
                {
                    (table.name.to_string(), table.columns.iter().collect())
                }
                Effect::AddsColumn { table, column, .. } => (table.name.to_string(), vec![column]),
                _ => (String::new(), Vec::new()),
            };
            columns.into_iter().map(move |column| (step, table.clone(), column))
        })
    })
}

/// About a column that is as easily given another type now as it will be hard later.
pub fn finding(step: &Step, table: &str, column: &Column) -> Finding {
    let name = format!("{table}.{}", crate::db::quote_identifier(&column.name));
    let mut finding = migration_step::without_table(step, &name, Severity::low);
    finding.evidence.insert("column".into(), name.into());
    finding.evidence.insert("type".into(), column.type_name.as_str().into());
    finding.risk = "None now: write the other type before the migration has run.".to_string();
    (finding.fix_sql, finding.app_fix) = (None, None);
    finding
}
