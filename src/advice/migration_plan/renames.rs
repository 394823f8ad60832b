//! A table under a new name, while the code that knows the old one still runs.

use super::batches::quoted_body;
use super::planned::{brief, harmless};
use super::{Catalog, Piece, When, is_new};
use crate::db::{quote_identifier, quote_literal};
use crate::facts::QualifiedName;
use crate::facts::migration::statement::Rename;
use crate::facts::migration::{LockMode, NameAsWritten, ObjectKind, Phase};

pub fn candidate(text: &str, rename: &Rename, catalog: &impl Catalog) -> Option<Piece> {
    if rename.kind != ObjectKind::Table || rename.part.is_some() {
        return None;
    }
    let table = catalog.find(rename.relation.as_ref()?)?;
    let known = matches!(table.kind, ObjectKind::Table | ObjectKind::PartitionedTable);
    let taken = NameAsWritten { schema: Some(table.name.schema.raw().into()), name: rename.new_name.clone() };
    if is_new(table) || !known || catalog.find(&taken).is_some() {
        return None;
    }
    let old = &table.name;
    let new = QualifiedName { schema: old.schema.clone(), name: rename.new_name.clone().into() };
    let way = vec![
        brief(
            Phase::Expand,
            format!("ALTER TABLE {old} RENAME TO {};", quote_identifier(&rename.new_name)),
            LockMode::AccessExclusive,
            old,
            "Catalog only; the view in the next statement has the old name before anybody misses it.",
        ),
        harmless(
            Phase::Expand,
            format!("CREATE VIEW {old} WITH (security_invoker = true) AS SELECT * FROM {new};"),
            "Old code reads and writes through the view; TRUNCATE, COPY into it and LOCK it cannot, and columns that are added \
             later are not in it.",
        ),
        harmless(Phase::Expand, grants(old, &new), "The view may be used by whoever may use the table."),
        brief(
            Phase::Contract,
            format!("DROP VIEW {old};"),
            LockMode::AccessExclusive,
            old,
            "When no code uses the old name any more.",
        ),
    ];
    Some(Piece::one(text, When::Always, Ok(way)))
}

/// Copies the privileges of the table to the view.
fn grants(view: &QualifiedName, table: &QualifiedName) -> String {
    let body = format!(
        "
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT
            privilege_type,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::text END AS grantee,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS grantable
        FROM pg_catalog.pg_class, pg_catalog.aclexplode(relacl)
        WHERE pg_class.oid = {}::pg_catalog.regclass AND grantee <> relowner
    LOOP
        EXECUTE pg_catalog.format(
            'GRANT %s ON {} TO %s%s', granted.privilege_type, granted.grantee, granted.grantable
        );
    END LOOP;
END
",
        quote_literal(&table.to_string()),
        view.to_string().replace('\'', "''").replace('%', "%%"),
    );
    format!("DO {};", quoted_body(&body))
}
