//! What a workload costs with given indexes: the planner's cost with the indexes really built, which no strategy's own
//! estimates bias.

use crate::cluster::Result;
use crate::hypopg::explain;
use crate::workload::Query;
use postgres::Client;

const NEWEST_INDEX: &str = "
    select
        newest.oid::pg_catalog.regclass::text,
        coalesce(
            (
                select pg_catalog.sum(pg_catalog.pg_relation_size(p.relid))
                from pg_catalog.pg_partition_tree(newest.oid) p
            ),
            pg_catalog.pg_relation_size(newest.oid))::bigint
    from (
        select c.oid
        from pg_catalog.pg_class c
        where c.relkind in ('i', 'I') and not c.relispartition
        order by c.oid desc
        limit 1
    ) as newest";

pub struct Judgement {
    /// Of the workload, weighted by calls.
    pub cost: f64,
    pub bytes: u64,
}

/// In a transaction that is rolled back.
pub fn judge(client: &mut Client, queries: &[Query], definitions: &[String]) -> Result<Judgement> {
    let mut judgement = Judgement { cost: 0.0, bytes: 0 };
    client.batch_execute("begin")?;
    for definition in definitions {
        judgement.bytes += build(client, definition)?.bytes;
    }
    for query in queries {
        judgement.cost += query.calls * explain(client, &query.text)?.cost;
    }
    client.batch_execute("rollback")?;
    Ok(judgement)
}

pub struct Built {
    /// As DROP INDEX takes it.
    pub name: String,
    /// With those of its partitions.
    pub bytes: u64,
}

pub fn build(client: &mut Client, definition: &str) -> Result<Built> {
    client.batch_execute(definition)?;
    let row = client.query_one(NEWEST_INDEX, &[])?;
    Ok(Built { name: row.get(0), bytes: row.get::<_, i64>(1) as u64 })
}
