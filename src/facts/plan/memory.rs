//! The memory with which nodes that spilled would not have, as PostgreSQL 17 counts it against work_mem. In real runs sorts
//! and hash joins needed between 0.8 and 1.0 of it; aggregates, whose states are not told, from half of it on.

use super::{Node, Plan, Sort};

/// Of a tuple in memory, with the place of its values.
const TUPLE_HEADER: f64 = 16.0;
/// What a sort keeps for each tuple beside it.
const SORT_ENTRY: f64 = 24.0;
/// Of what is written to disk of a tuple: its length; all but the first ten bytes of its header follow.
const NOT_ON_DISK: f64 = 10.0 - 4.0;
/// Of a block of sorted tuples, without its links.
const BLOCK_USED: f64 = 8176.0 / 8192.0;
/// A tuple's place in a hash table, beside the tuple.
const HASH_HEADER: f64 = 16.0;
const HASH_BUCKET: f64 = 8.0;
/// A group's place in a hashed aggregate.
const GROUP_BUCKET: f64 = 24.0;
const GROUP_FILL: f64 = 0.9;
const CHUNK_HEADER: f64 = 8.0;
/// An aggregate's value in a group; what larger ones point to is not known.
const TRANSITION: f64 = 16.0;
/// A block in a bitmap, with its place in the table of blocks.
const BITMAP_BLOCK: f64 = 64.0;
/// For what the figures leave out.
const MARGIN: f64 = 1.08;

impl Plan {
    /// work_mem in kB that a node needs to stay in memory that was not enough for it, where that can be told: a sort or a
    /// hashed aggregate that went to disk, a hash join in batches, a bitmap that was lossy. None: it had enough, or unknown.
    pub fn memory_needed_kilobytes(&self, i: usize, hash_mem_multiplier: f64) -> Option<f64> {
        let node = &self.nodes[i];
        let bytes = match node.kind.as_str() {
            "Sort" | "Incremental Sort" => self.sort_bytes(node)?,
            "Hash" => self.hash_bytes(i)? / hash_mem_multiplier,
            "Aggregate" => self.aggregate_bytes(node)? / hash_mem_multiplier,
            "Memoize" => memoize_bytes(node)? / hash_mem_multiplier,
            "Bitmap Heap Scan" => self.bitmap_bytes(node)?,
            _ => return None,
        };
        Some(bytes * MARGIN / 1024.0)
    }

    fn sort_bytes(&self, node: &Node) -> Option<f64> {
        let sort @ Sort { on_disk: true, .. } = node.sort.as_ref()? else { return None };
        let disk = sort.kilobytes * 1024.0 * BLOCK_USED;
        let rows = self.rows_sorted(node)?;
        if rows <= 0.0 {
            return None;
        }
        // Values alone are sorted without tuples around them, and only their places count.
        if node.output.len() == 1 {
            return Some(rows * SORT_ENTRY);
        }
        if node.kind == "Incremental Sort" {
            let tuple = TUPLE_HEADER + node.width;
            return Some(disk * (aligned(tuple) + SORT_ENTRY) / (tuple - NOT_ON_DISK));
        }
        let tuple = disk / rows + NOT_ON_DISK;
        Some(rows * (aligned(tuple.round()) + SORT_ENTRY))
    }

    /// What went in, in one execution of one process.
    fn rows_sorted(&self, node: &Node) -> Option<f64> {
        let input = self.nodes[*node.children.first()?].actual?;
        let loops = node.actual?.loops;
        (loops > 0.0).then(|| input.rows * input.loops / loops)
    }

    fn hash_bytes(&self, i: usize) -> Option<f64> {
        let node = &self.nodes[i];
        let hash = node.hash.as_ref().filter(|hash| hash.batches > 1.0)?;
        let processes = if node.parallel_aware { self.processes(i) } else { 1.0 };
        let actual = if node.parallel_aware { self.total_rows(i)? } else { node.actual?.rows };
        // The planner must expect it to fit, and it must.
        let rows = actual.max(self.estimated_total_rows(i) / self.executions(i)?.max(1.0));
        let tuple = HASH_HEADER + TUPLE_HEADER + aligned(node.width);
        let bytes = rows * tuple + HASH_BUCKET * power_of_two(rows.max(1024.0));
        let in_batches = hash.peak_kilobytes * 1024.0 * hash.batches;
        Some(bytes.clamp(in_batches / 2.0, in_batches * 1.1) / processes)
    }

    fn aggregate_bytes(&self, node: &Node) -> Option<f64> {
        let spilled = node.aggregate.as_ref().filter(|aggregate| aggregate.batches > 1.0)?;
        if node.strategy.as_deref() != Some("Hashed") {
            return None;
        }
        let groups = node.actual?.rows + node.rows_removed_by_filter.unwrap_or_default();
        let keys_width = self.nodes[*node.children.first()?].width.min(node.width);
        let columns = node.output.iter().filter(|column| !node.group_key.contains(column));
        let values: Vec<f64> = columns.map(|column| state_bytes(column, node.width)).collect::<Option<_>>()?;
        let transitions = match values.len() {
            0 if !node.output.is_empty() => 0.0,
            values => CHUNK_HEADER + power_of_two(TRANSITION * (values as f64).max(1.0)),
        };
        let group = CHUNK_HEADER + power_of_two(aligned(TUPLE_HEADER + keys_width)) + transitions;
        let bytes = groups * (group + values.iter().sum::<f64>()) + GROUP_BUCKET * power_of_two(groups / GROUP_FILL);
        Some(bytes.max(spilled.peak_kilobytes * 1024.0))
    }

    fn bitmap_bytes(&self, node: &Node) -> Option<f64> {
        let lossy = node.lossy_heap_blocks.filter(|blocks| *blocks > 0.0)?;
        // What is in the bitmaps that an AND intersects is not told.
        if node.children.iter().any(|child| self.nodes[*child].kind == "BitmapAnd") {
            return None;
        }
        let executions = node.actual.map_or(1.0, |actual| actual.loops).max(1.0);
        let blocks = lossy + node.exact_heap_blocks.unwrap_or_default();
        // PostgreSQL 17 tells the blocks of one process.
        let share = if node.parallel_aware { executions } else { 1.0 / executions };
        Some(blocks * share * BITMAP_BLOCK)
    }

    fn processes(&self, i: usize) -> f64 {
        let launched = self.ancestors(i).find_map(|above| self.nodes[above].workers_launched);
        launched.map_or(1.0, |workers| f64::from(workers) + 1.0)
    }
}

/// As large as if all results were different ones: how often a key came again after it was evicted is not told.
fn memoize_bytes(node: &Node) -> Option<f64> {
    let cache = node.memoize.as_ref().filter(|cache| cache.evictions > 0.0 && cache.evictions < cache.misses)?;
    Some(cache.peak_kilobytes * 1024.0 * cache.misses / (cache.misses - cache.evictions))
}

/// What the states of the aggregates in an output column take beside their places; None: it may be anything. Sums and
/// averages of large numbers keep their digits, which a narrow row shows not to be the case.
fn state_bytes(column: &str, width: f64) -> Option<f64> {
    const DIGITS: f64 = 340.0;
    let function = column.trim_start_matches("PARTIAL ").split('(').next().unwrap_or_default();
    let function = function.rsplit('.').next().unwrap_or_default();
    match function {
        "count" | "bool_and" | "bool_or" | "every" => Some(0.0),
        "min" | "max" => Some(CHUNK_HEADER + power_of_two(TUPLE_HEADER + width)),
        "sum" | "avg" | "stddev" | "stddev_samp" | "variance" | "var_samp" => {
            Some(if width >= 32.0 { DIGITS } else { 0.0 })
        }
        _ => None,
    }
}

fn aligned(bytes: f64) -> f64 {
    (bytes / 8.0).ceil() * 8.0
}

fn power_of_two(least: f64) -> f64 {
    least.max(1.0).log2().ceil().exp2()
}

#[cfg(test)]
mod unit_tests {
    use super::super::{Actual, Hash, HashedAggregate, Node, Plan, Sort};

    fn needed(node: Node, rows_in: f64) -> f64 {
        let actual = Actual { rows: rows_in, loops: 1.0, ..Actual::default() };
        let child =
            Node { parent: Some(0), kind: "Seq Scan".into(), width: 37.0, actual: Some(actual), ..Node::default() };
        let plan = Plan { nodes: vec![Node { children: vec![1], ..node }, child], ..Plan::default() };
        plan.memory_needed_kilobytes(0, 2.0).expect("it spilled")
    }

    fn node(kind: &str, rows: f64, width: f64, output: &[&str]) -> Node {
        let actual = Actual { rows, loops: 1.0, ..Actual::default() };
        let output = output.iter().map(|column| column.to_string()).collect();
        Node { kind: kind.into(), rows, width, output, actual: Some(actual), ..Node::default() }
    }

    /// What PostgreSQL 17 took in trials at ever smaller work_mem, with the plans of those at a small one.
    #[test]
    fn as_much_as_real_runs_needed_and_not_much_more() {
        let sorted = |kilobytes: f64, output: &[&str]| {
            let sort = Sort { method: "external merge".into(), kilobytes, on_disk: true, groups: None };
            needed(Node { sort: Some(sort), ..node("Sort", 100_000.0, 37.0, output) }, 100_000.0)
        };
        let hash = Hash { buckets: 16384.0, batches: 8.0, original_batches: 8.0, peak_kilobytes: 662.0 };
        let grouped =
            HashedAggregate { batches: 17.0, peak_kilobytes: 545.0, disk_kilobytes: 2968.0, planned_partitions: 16.0 };
        let aggregate = Node {
            strategy: Some("Hashed".into()),
            group_key: vec!["id".into()],
            aggregate: Some(grouped),
            ..node("Aggregate", 60_000.0, 12.0, &["id", "count(*)"])
        };
        let tried = [
            (sorted(1216.0, &["a"]), 2368.0),
            (sorted(4624.0, &["a", "b"]), 7936.0),
            (sorted(9688.0, &["id", "a", "b", "c", "n", "k"]), 12_800.0),
            (needed(Node { hash: Some(hash), ..node("Hash", 60_000.0, 37.0, &["t", "id"]) }, 60_000.0), 2432.0),
            (needed(aggregate, 60_000.0), 3520.0),
        ];
        for (needed, real) in tried {
            assert!(needed >= real && needed <= 1.3 * real, "{needed} kB, in fact {real} kB");
        }
    }
}
