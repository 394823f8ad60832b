//! What a node needed memory for. Each process of a parallel plan has its own: EXPLAIN lists the workers' apart, and
//! the largest counts, because every one of them may take work_mem.

use super::super::{Hash, HashedAggregate, Memoize, Sort};
use super::object::{Object, Wrong, list, number, objects, text};

/// By kind of node.
#[derive(Default)]
pub struct Memory {
    pub exact_heap_blocks: Option<f64>,
    pub lossy_heap_blocks: Option<f64>,
    pub sort: Option<Sort>,
    pub hash: Option<Hash>,
    pub aggregate: Option<HashedAggregate>,
    pub memoize: Option<Memoize>,
}

impl Memory {
    pub fn of(kind: &str, node: &Object) -> Result<Memory, Wrong> {
        let mut memory = Memory::default();
        match kind {
            "Bitmap Heap Scan" => {
                memory.exact_heap_blocks = with_workers(node, "Exact Heap Blocks")?;
                memory.lossy_heap_blocks = with_workers(node, "Lossy Heap Blocks")?;
            }
            "Sort" | "Incremental Sort" => memory.sort = sort(node)?,
            "Hash" => memory.hash = hash(node)?,
            "Aggregate" => memory.aggregate = aggregate(node)?,
            "Memoize" => memory.memoize = memoize(node)?,
            _ => {}
        }
        Ok(memory)
    }
}

/// The node, then its workers, which have the same keys.
fn processes(node: &Object) -> impl Iterator<Item = &Object> {
    std::iter::once(node).chain(objects(node, "Workers"))
}

/// A count over all processes.
fn with_workers(node: &Object, key: &'static str) -> Result<Option<f64>, Wrong> {
    let mut sum = None;
    for process in processes(node) {
        if let Some(count) = number(process, key)? {
            sum = Some(sum.unwrap_or_default() + count);
        }
    }
    Ok(sum)
}

fn largest(node: &Object, key: &'static str) -> Result<Option<f64>, Wrong> {
    let mut largest: Option<f64> = None;
    for process in processes(node) {
        largest = number(process, key)?.into_iter().chain(largest).reduce(f64::max);
    }
    Ok(largest)
}

fn sort(node: &Object) -> Result<Option<Sort>, Wrong> {
    let mut worst = None;
    for process in processes(node) {
        let sorts = simple_sort(process)?.into_iter().chain(incremental_sort(process)?);
        worst = sorts.chain(worst).reduce(worse);
    }
    Ok(worst)
}

/// What went to disk is worse than what did not.
pub fn worse(one: Sort, other: Sort) -> Sort {
    let groups = [one.groups, other.groups].into_iter().flatten().reduce(|a, b| a + b);
    let worse = if (one.on_disk, one.kilobytes) >= (other.on_disk, other.kilobytes) { one } else { other };
    Sort { groups, ..worse }
}

fn simple_sort(process: &Object) -> Result<Option<Sort>, Wrong> {
    let Some(method) = text(process, "Sort Method")? else { return Ok(None) };
    Ok(Some(Sort {
        method,
        kilobytes: number(process, "Sort Space Used")?.unwrap_or_default(),
        on_disk: text(process, "Sort Space Type")?.as_deref() == Some("Disk"),
        groups: None,
    }))
}

fn incremental_sort(process: &Object) -> Result<Option<Sort>, Wrong> {
    let mut worst = None;
    for key in ["Full-sort Groups", "Pre-sorted Groups"] {
        let Some(groups) = process.get(key).and_then(|groups| groups.as_object()) else { continue };
        let method = list(groups, "Sort Methods Used").join(", ");
        for (key, on_disk) in [("Sort Space Memory", false), ("Sort Space Disk", true)] {
            let Some(space) = groups.get(key).and_then(|space| space.as_object()) else { continue };
            let kilobytes = number(space, "Peak Sort Space Used")?.unwrap_or_default();
            let sort = Sort { method: method.clone(), kilobytes, on_disk, groups: None };
            worst = std::iter::once(sort).chain(worst).reduce(worse);
        }
        if let Some(worst) = &mut worst {
            worst.groups = Some(worst.groups.unwrap_or_default() + number(groups, "Group Count")?.unwrap_or_default());
        }
    }
    Ok(worst)
}

fn hash(node: &Object) -> Result<Option<Hash>, Wrong> {
    let Some(batches) = largest(node, "Hash Batches")? else { return Ok(None) };
    Ok(Some(Hash {
        buckets: largest(node, "Hash Buckets")?.unwrap_or_default(),
        batches,
        original_batches: largest(node, "Original Hash Batches")?.unwrap_or(batches),
        peak_kilobytes: largest(node, "Peak Memory Usage")?.unwrap_or_default(),
    }))
}

fn aggregate(node: &Object) -> Result<Option<HashedAggregate>, Wrong> {
    let Some(batches) = largest(node, "HashAgg Batches")? else { return Ok(None) };
    Ok(Some(HashedAggregate {
        batches,
        peak_kilobytes: largest(node, "Peak Memory Usage")?.unwrap_or_default(),
        disk_kilobytes: largest(node, "Disk Usage")?.unwrap_or_default(),
        planned_partitions: largest(node, "Planned Partitions")?.unwrap_or_default(),
    }))
}

fn memoize(node: &Object) -> Result<Option<Memoize>, Wrong> {
    let count = |key| Ok(with_workers(node, key)?.unwrap_or_default());
    let Some(hits) = with_workers(node, "Cache Hits")? else { return Ok(None) };
    Ok(Some(Memoize {
        hits,
        misses: count("Cache Misses")?,
        evictions: count("Cache Evictions")?,
        overflows: count("Cache Overflows")?,
        peak_kilobytes: largest(node, "Peak Memory Usage")?.unwrap_or_default(),
    }))
}
