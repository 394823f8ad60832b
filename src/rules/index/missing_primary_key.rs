use crate::advice::index_ddl::verify_valid;
use crate::facts::{Catalog, Facts, Index, Table, TableKind};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Bytes;

pub static RULE: Rule = Rule {
    id: "missing_primary_key",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A table or partitioned table, not temporary and not a partition, has no primary key. Of severity low below \
                small_bytes; high when a publication sends its updates or deletes and its replica identity is NOTHING or the \
                default one, which is the primary key.",
    effect: "Rows cannot be told apart: duplicates creep in, logical replication refuses updates and deletes, ORMs and change \
             data capture cannot map the table.",
    workaround: "Make an existing unique index of not-null columns the primary key; otherwise decide what identifies a row, or \
                 add an identity column.",
    sources: &[
        "https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-PRIMARY-KEYS",
        "https://www.postgresql.org/docs/17/logical-replication-publication.html",
    ],
    options: &[OptionSpec::bytes("small_bytes", Bytes::MIB, "A smaller table is of severity low.")],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "a unique index of not-null columns can become it",
            setup: "create table t (a int not null, b int); create unique index t_a_key on t (a)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the unique index is the replica identity",
            setup: "create table t (a int not null); create unique index t_a_key on t (a); alter table t replica identity \
                    using index t_a_key",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "nothing identifies a row",
            setup: "create table t (a int, b int); create unique index on t (a); create table u (a int) partition by range \
                    (a); create table u_1 partition of u for values from (0) to (10)",
            finds: 2,
            fix_clears: false,
        },
        Case {
            name: "unique indexes that cannot become a primary key",
            setup: "create table t (a int not null, b text not null, c int not null, unique (c)); create unique index on t (a) \
                    where a > 0; create unique index on t (lower(b)); create unique index on t (a desc); create unique index \
                    on t (b text_pattern_ops)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "it has one; materialized views and temporary tables need none",
            setup: "create table t (a int primary key); create temporary table u (a int); create materialized view v as \
                    select 1 as a",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let small = options.bytes("small_bytes");
    let findings = catalog
        .tables()
        .filter(|table| table.kind != TableKind::MaterializedView && table.is_maintained() && !table.is_partition())
        .filter(|table| !table.indexes.iter().any(|index| index.primary))
        .map(|table| finding(catalog, table, small));
    Ok(findings.collect())
}

fn finding(catalog: &Catalog, table: &Table, small: u64) -> Finding {
    let bytes = catalog.bytes(table);
    let replicated = table.published && matches!(table.replica_identity, 'd' | 'n');
    let severity = match () {
        () if replicated => Severity::high,
        () if bytes.0 < small => Severity::low,
        () => Severity::medium,
    };
    let promoted = table.indexes.iter().find(|index| can_become_primary_key(catalog, table, index));
    let rows = catalog.rows(table).map_or("rows not counted yet".to_string(), |rows| rows.of("row"));
    let mut cause = "Nothing in the schema says what identifies a row.".to_string();
    if replicated {
        cause += " The table is published without a replica identity: its updates and deletes fail.";
    }
    cause += &match promoted {
        Some(index) => format!(
            " Unique index {} on ({}) does, for its columns are not null: it can become the primary key as it is.",
            index.name,
            table.key_listing(index)
        ),
        None => format!(
            " No unique index of not-null columns can be promoted, so that no statement is right in every case. If a column \
             identifies a row: make it NOT NULL, create a unique index concurrently, then ALTER TABLE {} ADD PRIMARY KEY USING \
             INDEX. If none does: ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, which rewrites the table.",
            table.name
        ),
    };
    let fix = promoted.map(|index| promotion(table, index));
    let (fix_sql, rollback, verify_sql) = match fix {
        Some(fix) => (Some(fix.0), fix.1, Some(fix.2)),
        None => (None, Rollback::None, None),
    };
    Finding {
        severity,
        weight: bytes.0,
        summary: format!("Table {} has no primary key: {rows}, {bytes}", table.name),
        cause,
        evidence: object! {
            "table_bytes": bytes,
            "table_rows": catalog.rows(table),
            "published": table.published,
            "replica_identity": table.replica_identity.to_string(),
            "unique_index": promoted.map(|index| table.index_name(index).to_string()),
        },
        impact: object! {},
        fix_sql,
        app_fix: Some("SQLAlchemy: primary_key=True on the columns that identify a row; the ORM does not map a table without.".to_string()),
        risk: match promoted {
            Some(_) => {
                "ACCESS EXCLUSIVE on the table for a moment, without reading it: set lock_timeout first. The rollback drops the \
                 index with the constraint and builds it again; there is none where a foreign key references it."
            }
            None => "What identifies a row is a decision about the data: look for duplicates first.",
        }
        .to_string(),
        rollback,
        verify_sql,
        object: table.name.to_string(),
    }
}

fn promotion(table: &Table, index: &Index) -> (String, Rollback, String) {
    let fix = format!("ALTER TABLE {} ADD PRIMARY KEY USING INDEX {};", table.name, index.name);
    let before = Some(format!("ALTER TABLE {} DROP CONSTRAINT {};", table.name, index.name));
    let identity = || format!("ALTER TABLE {} REPLICA IDENTITY USING INDEX {};", table.name, index.name);
    let after = index.replica_identity.then(identity);
    // The constraint cannot be dropped under a foreign key.
    let rollback = match index.referenced {
        true => Rollback::None,
        false => Rollback::Recreate { before, index: index.oid, after },
    };
    (fix, rollback, verify_valid(&table.index_name(index)))
}

/// What ADD PRIMARY KEY USING INDEX accepts, without having to set a column NOT NULL.
fn can_become_primary_key(catalog: &Catalog, table: &Table, index: &Index) -> bool {
    table.kind == TableKind::Plain
        && index.unique
        && index.immediate
        && index.is_usable()
        && index.is_plain()
        && !index.nulls_not_distinct
        && index.constraint.is_none()
        && &*index.method == "btree"
        && index.keys.iter().all(|key| {
            key.order == 0
                && catalog.class(key.class).is_some_and(|class| class.default)
                && table
                    .column(key.attribute)
                    .is_some_and(|column| column.not_null && column.collation == key.collation)
        })
}
