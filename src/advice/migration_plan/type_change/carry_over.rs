//! What goes with a column and has no text in the migration: read from the catalogs when the plan runs.

use super::Change;
use crate::advice::migration_plan::batches::quoted_body;
use crate::db::quote_literal;

/// Inside a constant that is a format.
fn within(text: &str) -> String {
    text.replace('\'', "''").replace('%', "%%")
}

impl Change<'_> {
    /// Comment, privileges, options and owned sequences.
    pub fn carry_over(&self) -> String {
        let (on, name, beside) = (self.on(), &self.name, &self.beside);
        let (on_text, name_text, beside_text) = (within(&on), within(name), within(beside));
        let body = format!(
            "
DECLARE
    the_old record;
    granted record;
    owned record;
BEGIN
    SELECT attrelid, attnum, attacl, attstattarget, attoptions, pg_catalog.col_description(attrelid, attnum) AS said
    INTO the_old
    FROM pg_catalog.pg_attribute
    WHERE attrelid = {}::pg_catalog.regclass AND attname = {};
    IF the_old.said IS NOT NULL THEN
        EXECUTE pg_catalog.format('COMMENT ON COLUMN {on_text}.{beside_text} IS %L', the_old.said);
        EXECUTE pg_catalog.format('COMMENT ON COLUMN {on_text}.{name_text} IS NULL');
    END IF;
    IF the_old.attstattarget IS NOT NULL THEN
        EXECUTE pg_catalog.format('ALTER TABLE {on_text} ALTER COLUMN {beside_text} SET STATISTICS %s', the_old.attstattarget);
    END IF;
    IF the_old.attoptions IS NOT NULL THEN
        EXECUTE pg_catalog.format(
            'ALTER TABLE {on_text} ALTER COLUMN {beside_text} SET (%s)', pg_catalog.array_to_string(the_old.attoptions, ', ')
        );
    END IF;
    FOR granted IN
        SELECT privilege_type, is_grantable, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::text END AS who
        FROM pg_catalog.aclexplode(the_old.attacl)
    LOOP
        EXECUTE pg_catalog.format(
            'GRANT %s ({beside_text}) ON {on_text} TO %s%s',
            granted.privilege_type, granted.who, CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        );
    END LOOP;
    FOR owned IN
        SELECT pg_depend.objid::pg_catalog.regclass AS sequence
        FROM pg_catalog.pg_depend JOIN pg_catalog.pg_class ON pg_class.oid = pg_depend.objid AND relkind = 'S'
        WHERE refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND refobjid = the_old.attrelid
            AND refobjsubid = the_old.attnum AND classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND deptype = 'a'
    LOOP
        EXECUTE pg_catalog.format('ALTER SEQUENCE %s OWNED BY {on_text}.{beside_text}', owned.sequence);
    END LOOP;
END
",
            quote_literal(&on),
            quote_literal(&self.column.name),
        );
        format!("DO {};", quoted_body(&body))
    }

    /// Another sequence of the same name, with the same parameters but for the limits of the type.
    pub fn identity(&self, kind: &str) -> String {
        let (on, name, beside) = (self.on(), &self.name, &self.beside);
        let (on_text, beside_text) = (within(&on), within(beside));
        let body = format!(
            "
DECLARE
    the_old record;
    the_last record;
    granted record;
BEGIN
    SELECT pg_sequence.*, nspname, relname, relacl, seqrelid::pg_catalog.regclass AS sequence
    INTO the_old
    FROM pg_catalog.pg_sequence
    JOIN pg_catalog.pg_class ON pg_class.oid = seqrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
    WHERE seqrelid = pg_catalog.pg_get_serial_sequence({}, {})::pg_catalog.regclass;
    EXECUTE pg_catalog.format('SELECT last_value, is_called FROM %s', the_old.sequence) INTO the_last;
    ALTER TABLE {on} ALTER COLUMN {name} DROP IDENTITY;
    EXECUTE pg_catalog.format(
        'ALTER TABLE {on_text} ALTER COLUMN {beside_text} ADD GENERATED {kind} AS IDENTITY
            (SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s CACHE %s %s %s %s)',
        the_old.nspname, the_old.relname, the_old.seqstart, the_old.seqincrement, the_old.seqcache,
        CASE WHEN the_old.seqcycle THEN 'CYCLE' ELSE '' END,
        CASE WHEN the_old.seqmin NOT IN (1, -32768, -2147483648, -9223372036854775808)
            THEN pg_catalog.format('MINVALUE %s', the_old.seqmin) ELSE '' END,
        CASE WHEN the_old.seqmax NOT IN (-1, 32767, 2147483647, 9223372036854775807)
            THEN pg_catalog.format('MAXVALUE %s', the_old.seqmax) ELSE '' END
    );
    PERFORM pg_catalog.setval(
        pg_catalog.format('%I.%I', the_old.nspname, the_old.relname)::pg_catalog.regclass, the_last.last_value, the_last.is_called
    );
    FOR granted IN
        SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::text END AS who
        FROM pg_catalog.aclexplode(the_old.relacl)
    LOOP
        EXECUTE pg_catalog.format(
            'GRANT %s ON SEQUENCE %I.%I TO %s', granted.privilege_type, the_old.nspname, the_old.relname, granted.who
        );
    END LOOP;
END
",
            quote_literal(&on),
            quote_literal(&self.column.name),
        );
        format!("DO {};", quoted_body(&body))
    }
}
