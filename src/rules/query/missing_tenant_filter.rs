use crate::advice::statements::MIN_ROWS;
use crate::advice::tenancy::{Tenancy, unbound};
use crate::facts::query::WriteKind;
use crate::facts::{Facts, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "missing_tenant_filter",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Most tables that have a column named as in tenant_column, min_tables of them or more, begin their primary key with \
                it or reference one and the same table by it, so it tells tenants apart. The query reads such a table of at \
                least min_rows rows without a condition on the column: neither of its own, nor through a join with rows of a \
                tenant. Silent where row security is enabled on the table, where a row is looked up by its key, where the \
                query groups by the column or inserts it elsewhere with the \
                row, for queues that are read with SKIP LOCKED, and for tables inside views.",
    effect: "The query returns, or changes, rows of all tenants: what one customer sees belongs to another.",
    workaround: "Compare the column with the tenant at hand in every query; better, let the server do so by row security.",
    sources: &["https://www.postgresql.org/docs/17/ddl-rowsecurity.html"],
    options: &[
        OptionSpec::pattern(
            "tenant_column",
            "^(tenant|organi[sz]ation|account|workspace|company)_id$",
            "Names of columns that may tell tenants apart.",
        ),
        OptionSpec::number("min_tables", (3.0, "tables"), (1.0, 1e6), "With fewer such tables there are no tenants."),
        MIN_ROWS,
    ],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "a filter on something else, in a query and in an UPDATE",
            setup: "create table tenants (id int primary key); insert into tenants select generate_series(1, 10); create table a \
                    (tenant_id int references tenants, id int, x int, primary key (tenant_id, id)); create table b (like a \
                    including all); create table c (like a including all); insert into a select 1 + g % 10, g, g % 100 from \
                    generate_series(1, 20000) g; analyze; create table example as select 'with w as (select * from b where \
                    tenant_id = 1) update a set x = 0 where x = 7' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one of two tables, not joined by a tenant's rows",
            setup: "create table a (tenant_id int, id int, x int, primary key (tenant_id, id)); create table b (like a including \
                    all); create table c (like a including all); insert into a select 1 + g % 10, g, g % 100 from \
                    generate_series(1, 20000) g; insert into b table a; analyze; create table example as select 'select b.id from \
                    a, b where a.tenant_id = $1 and exists (select 1 from c where c.id = b.id)' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "filters, own and through joins, subqueries and WITH",
            setup: "create table a (tenant_id int, id int, x int, primary key (tenant_id, id)); create table b (like a including \
                    all); create table c (like a including all); insert into a select 1 + g % 10, g, g % 100 from \
                    generate_series(1, 20000) g; insert into b table a; insert into c table a; analyze; create table example as \
                    select 'with w as (select x, tenant_id from a) select a.id from a join b on b.tenant_id = a.tenant_id and \
                    b.id = a.id left join c on c.id = b.id join (select tenant_id, max(x) as x from c group by tenant_id) m on \
                    m.tenant_id = a.tenant_id join w on w.tenant_id = a.tenant_id where a.tenant_id = \
                    current_setting(''app.tenant'')::int and a.x in (select c.x from c where c.tenant_id in ($1, $2))' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "row security, a report over all tenants, a lookup by key",
            setup: "create table a (tenant_id int, id int, x int, primary key (tenant_id, id)); alter table a enable row level \
                    security; create table b (tenant_id int not null, id int, x int, primary key (tenant_id, id), unique (id)); \
                    create table c (like a including all); insert into a select 1 + g % 10, g, g % 100 from generate_series(1, \
                    20000) g; insert into b table a; insert into c table a; analyze; create table example as select 'select \
                    tenant_id, count(*), (select sum(x) from a), (select x from b where id = 5 and x > 0) from c group by tenant_id' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a queue, and rows that are copied with their tenant",
            setup: "create table a (tenant_id int, id int, x int, primary key (tenant_id, id)); create table b (like a including \
                    all); create table c (like a including all); insert into a select 1 + g % 10, g, g % 100 from \
                    generate_series(1, 20000) g; insert into b table a; analyze; create table example as select 'with w as \
                    (select x from b order by id limit 10 for update skip locked) insert into c select tenant_id, id, x from a \
                    where x in (select x from w)' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the column does not tell tenants apart here",
            setup: "create table a (id int primary key, account_id int, x int); create table b (id int primary key, account_id \
                    int); create table c (id int primary key, account_id int); insert into a select g, g % 100, g from \
                    generate_series(1, 20000) g; analyze; create table example as select 'select id from a where x = 7' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_tables = options.number("min_tables") as usize;
    let Some(tenancy) = Tenancy::of(catalog, &options.pattern("tenant_column"), min_tables) else {
        return Ok(Vec::new());
    };
    let Some(query) = &statement.query else { return Ok(Vec::new()) };
    let mut tables: BTreeMap<u32, (&Table, Count)> = BTreeMap::new();
    let inserts = statement.write.as_ref().is_some_and(|write| write.kind == WriteKind::Insert);
    for table in unbound(query, inserts, catalog, &tenancy) {
        let rows = catalog.rows(table).filter(|rows| rows.0 as f64 >= options.number("min_rows"));
        if let Some(rows) = rows {
            tables.insert(table.oid, (table, rows));
        }
    }
    let writes = statement.write.as_ref().map(|write| write.table);
    let findings = tables.into_values().map(|(table, rows)| {
        let column = table.column_names(&[tenancy.columns[&table.oid]]).join("");
        let does = if writes == Some(table.oid) { "writes" } else { "reads" };
        Finding {
            severity: RULE.severity,
            object: statement.object(&table.name.to_string()),
            weight: rows.0,
            summary: format!("The query {does} {} of all tenants: no condition on {column}", table.name),
            cause: format!(
                "{column} tells the tenants of {} tables apart, and nothing in the query says which tenant's rows of {} are \
                 meant.",
                tenancy.columns.len(),
                table.name
            ),
            evidence: object! {
                "query": statement.excerpt(None),
                "table": table.name.to_string(),
                "table_rows": rows,
                "tenant_column": column,
                "tables_with_it": tenancy.columns.len(),
                "row_security": false,
            },
            app_fix: Some(format!(
                "Add {column} = <tenant> to the condition, or enable row security on {} with a policy that compares {column} \
                 with a setting of the session.",
                table.name
            )),
            ..Finding::that_changes_nothing()
        }
    });
    Ok(findings.collect())
}
