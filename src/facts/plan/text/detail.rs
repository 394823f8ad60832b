//! The lines below a node's first one: `Filter: (a = 1)`, `Buffers: shared hit=3`.

use super::super::json::worse;
use super::super::{Blocks, Hash, Node, Sort, Wal};
use super::head::{number, value};

/// What the lines so far say of the next one.
#[derive(Default)]
pub struct Details {
    /// An expression whose last line ends within a string.
    unfinished: Option<Unfinished>,
    /// Lines that are indented further are a worker's.
    worker: bool,
}

struct Unfinished {
    expression: Expression,
    text: String,
    quote: Quote,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Plain,
    /// Of E'…'
    Escapes,
    Identifier,
}

#[derive(Clone, Copy)]
enum Expression {
    One(fn(&mut Node) -> &mut Option<String>),
    List(fn(&mut Node) -> &mut Vec<String>),
}

impl Details {
    /// The line is within a string that the last one began.
    pub fn continues(&self) -> bool {
        self.unfinished.is_some()
    }

    /// `deeper`: indented further than the node's own details.
    pub fn read(&mut self, node: &mut Node, line: &str, deeper: bool) -> Result<(), String> {
        if let Some(unfinished) = self.unfinished.take() {
            let Unfinished { expression, text, quote } = unfinished;
            self.expression(node, expression, text + "\n" + line, open(Some(quote), line));
            return Ok(());
        }
        let text = line.trim();
        if let Some((_, of_worker)) = text.strip_prefix("Worker ").and_then(|worker| worker.split_once(":  ")) {
            self.worker = true;
            return figures_of_worker(node, of_worker);
        }
        if deeper && self.worker {
            return figures_of_worker(node, text);
        }
        let Some((key, _)) = text.split_once(": ") else { return Ok(()) };
        match expression(key) {
            Some(expression) => {
                let value = &line.trim_start()[key.len() + 2..];
                self.expression(node, expression, value.to_string(), open(None, value));
                Ok(())
            }
            None => figures(node, key, &text[key.len() + 2..])
                .ok_or_else(|| format!("\"{text}\" is not what EXPLAIN prints")),
        }
    }

    fn expression(&mut self, node: &mut Node, expression: Expression, text: String, open: Option<Quote>) {
        match (open, expression) {
            (Some(quote), expression) => self.unfinished = Some(Unfinished { expression, text, quote }),
            (None, Expression::One(field)) => *field(node) = Some(text.trim_end().to_string()),
            // The first of several grouping sets, which is the finest.
            (None, Expression::List(field)) if field(node).is_empty() => *field(node) = elements(&text),
            (None, Expression::List(_)) => {}
        }
    }
}

/// The quote that is open at the end of the text.
fn open(mut open: Option<Quote>, text: &str) -> Option<Quote> {
    let mut before = ' ';
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        open = match (open, c) {
            (None, '\'') if before == 'E' => Some(Quote::Escapes),
            (None, '\'') => Some(Quote::Plain),
            (None, '"') => Some(Quote::Identifier),
            (Some(Quote::Escapes), '\\') => {
                characters.next();
                open
            }
            // A doubled quote closes and opens again.
            (Some(Quote::Plain | Quote::Escapes), '\'') | (Some(Quote::Identifier), '"') => None,
            _ => open,
        };
        before = c;
    }
    open
}

/// As many as a row can have.
const COLUMNS: usize = 1664;

/// Splits at the commas outside of parentheses and quotes.
fn elements(text: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let (mut depth, mut start, mut quote) = (0_i32, 0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, '\'' | '"') => quote = Some(c),
            (None, ',') if depth == 0 && elements.len() < COLUMNS => {
                elements.push(text[start..at].trim().to_string());
                start = at + 1;
            }
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    elements.push(text[start..].trim().to_string());
    elements
}

fn expression(key: &str) -> Option<Expression> {
    use Expression::{List, One};
    Some(match key {
        "Filter" => One(|node| &mut node.filter),
        "Index Cond" => One(|node| &mut node.index_cond),
        "Recheck Cond" => One(|node| &mut node.recheck_cond),
        "Hash Cond" => One(|node| &mut node.hash_cond),
        "Merge Cond" => One(|node| &mut node.merge_cond),
        "Join Filter" => One(|node| &mut node.join_filter),
        "One-Time Filter" => One(|node| &mut node.one_time_filter),
        "Order By" => One(|node| &mut node.order_by),
        "Cache Key" => One(|node| &mut node.cache_key),
        "Run Condition" => One(|node| &mut node.run_condition),
        "Sort Key" => List(|node| &mut node.sort_key),
        "Presorted Key" => List(|node| &mut node.presorted_key),
        "Group Key" | "Hash Key" => List(|node| &mut node.group_key),
        "Output" => List(|node| &mut node.output),
        _ => return None,
    })
}

/// None: the value is not what EXPLAIN prints for this key. Keys that are not known are passed over.
fn figures(node: &mut Node, key: &str, text: &str) -> Option<()> {
    let count = || number(text);
    match key {
        "Rows Removed by Filter" => node.rows_removed_by_filter = Some(count()?),
        "Rows Removed by Join Filter" => node.rows_removed_by_join_filter = Some(count()?),
        "Rows Removed by Index Recheck" => node.rows_removed_by_recheck = Some(count()?),
        "Heap Fetches" => node.heap_fetches = Some(count()?),
        "Heap Blocks" => heap_blocks(node, text),
        "Workers Planned" => node.workers_planned = Some(count()? as u32),
        "Workers Launched" => node.workers_launched = Some(count()? as u32),
        "Subplans Removed" => node.subplans_removed = Some(count()? as u32),
        "Inner Unique" => node.inner_unique = Some(text == "true"),
        "Buffers" => node.blocks = Some(blocks(text)),
        "WAL" => {
            let of = |key| value(text, key).unwrap_or_default();
            node.wal = Some(Wal { records: of("records="), full_page_images: of("fpi="), bytes: of("bytes=") });
        }
        "I/O Timings" => {
            let times = text.split('=').skip(1).filter_map(|time| time.split([' ', ',']).next()?.parse::<f64>().ok());
            node.io_ms = Some(times.sum());
        }
        "Buckets" => node.hash = Some(hash(text)?),
        _ => memory(node, key, text)?,
    }
    Some(())
}

/// Of a worker only what it has apart from the node's figures.
fn figures_of_worker(node: &mut Node, text: &str) -> Result<(), String> {
    match text.split_once(": ") {
        Some(("Heap Blocks", value)) => heap_blocks(node, value),
        Some((key, value)) => {
            memory(node, key, value).ok_or_else(|| format!("\"{text}\" is not what EXPLAIN prints"))?;
        }
        None => {}
    }
    Ok(())
}

/// What each process has of its own: the node and its workers add up, or the largest counts.
fn memory(node: &mut Node, key: &str, text: &str) -> Option<()> {
    match key {
        "Sort Method" => add_sort(node, simple_sort(text)?),
        "Full-sort Groups" | "Pre-sorted Groups" => {
            for sort in group_sorts(text) {
                add_sort(node, sort);
            }
        }
        "Planned Partitions" | "Batches" => {
            let text = format!("{key}: {text}");
            let of = |key| value(&text, key).unwrap_or_default();
            let aggregate = node.aggregate.get_or_insert_default();
            aggregate.batches = aggregate.batches.max(of("Batches: "));
            aggregate.peak_kilobytes = aggregate.peak_kilobytes.max(of("Memory Usage: "));
            aggregate.disk_kilobytes = aggregate.disk_kilobytes.max(of("Disk Usage: "));
            aggregate.planned_partitions = aggregate.planned_partitions.max(of("Planned Partitions: "));
        }
        "Hits" => {
            let text = format!("Hits: {text}");
            let of = |key| value(&text, key).unwrap_or_default();
            let memoize = node.memoize.get_or_insert_default();
            memoize.hits += of("Hits: ");
            memoize.misses += of("Misses: ");
            memoize.evictions += of("Evictions: ");
            memoize.overflows += of("Overflows: ");
            memoize.peak_kilobytes = memoize.peak_kilobytes.max(of("Memory Usage: "));
        }
        _ => {}
    }
    Some(())
}

fn heap_blocks(node: &mut Node, text: &str) {
    *node.exact_heap_blocks.get_or_insert_default() += value(text, "exact=").unwrap_or_default();
    *node.lossy_heap_blocks.get_or_insert_default() += value(text, "lossy=").unwrap_or_default();
}

/// `shared hit=1 read=2, local hit=3, temp read=4 written=5`
pub fn blocks(text: &str) -> Blocks {
    let of = |kind: &str, key: &str| {
        let part = text.split(", ").find_map(|part| part.trim().strip_prefix(kind));
        part.and_then(|part| value(part, key)).unwrap_or_default()
    };
    Blocks {
        shared_hit: of("shared", " hit="),
        shared_read: of("shared", " read="),
        shared_dirtied: of("shared", " dirtied="),
        shared_written: of("shared", " written="),
        local_hit: of("local", " hit="),
        local_read: of("local", " read="),
        temp_read: of("temp", " read="),
        temp_written: of("temp", " written="),
    }
}

/// `1024 (originally 512)  Batches: 4 (originally 1)  Memory Usage: 12kB`
fn hash(text: &str) -> Option<Hash> {
    let (_, after) = text.split_once("Batches: ")?;
    let batches = value(text, "Batches: ")?;
    let originally = after.split("Memory").next().and_then(|batches| value(batches, "originally "));
    Some(Hash {
        buckets: number(text.split(' ').next()?)?,
        batches,
        original_batches: originally.unwrap_or(batches),
        peak_kilobytes: value(text, "Memory Usage: ")?,
    })
}

fn add_sort(node: &mut Node, sort: Sort) {
    node.sort = std::iter::once(sort).chain(node.sort.take()).reduce(worse);
}

/// `external merge  Disk: 392kB`
fn simple_sort(text: &str) -> Option<Sort> {
    let (method, space) = text.split_once("  ")?;
    let kilobytes = value(space, ": ")?;
    Some(Sort { method: method.to_string(), kilobytes, on_disk: space.starts_with("Disk"), groups: None })
}

/// `4  Sort Methods: quicksort, external merge  Average Memory: 27kB  Peak Memory: 28kB  Average Disk: 5kB  Peak Disk: 6kB`
fn group_sorts(text: &str) -> Vec<Sort> {
    let part = |key: &str| text.split("  ").find_map(|part| part.strip_prefix(key));
    let methods = part("Sort Methods: ").or_else(|| part("Sort Method: ")).unwrap_or_default();
    let mut groups = text.split(' ').next().and_then(number);
    let mut sorts = Vec::new();
    for (key, on_disk) in [("Peak Memory: ", false), ("Peak Disk: ", true)] {
        if let Some(kilobytes) = part(key).and_then(|space| value(space, "")) {
            sorts.push(Sort { method: methods.to_string(), kilobytes, on_disk, groups: groups.take() });
        }
    }
    sorts
}
