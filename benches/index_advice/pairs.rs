//! Queries with an index that could serve them, drawn at random, the same for the same seed and statistics.

use crate::cluster::Result;
use crate::random::Random;
use postgres::Client;

pub struct Pair {
    pub kind: &'static str,
    pub query: String,
    /// What comes after ON in CREATE INDEX.
    pub on: String,
    /// An expression that it is on.
    pub expression: Option<String>,
}

impl Pair {
    fn new(kind: &'static str, query: String, on: String) -> Pair {
        Pair { kind, query, on, expression: None }
    }
}

struct Table {
    name: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    type_name: String,
    /// Literals of values that occur: bounds of the histogram and common values.
    values: Vec<String>,
    bounds: Vec<String>,
}

const TABLES: &str = "
    select
        c.oid::pg_catalog.regclass::text,
        a.attname::text,
        case when t.typtype = 'd' then t.typbasetype else t.oid end::pg_catalog.regtype::text,
        coalesce(s.most_common_vals::text::text[], '{}') || coalesce(s.histogram_bounds::text::text[], '{}'),
        coalesce(s.histogram_bounds::text::text[], '{}')
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_type t on t.oid = a.atttypid
    join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
        and s.inherited = (c.relkind = 'p')
    where c.relkind in ('r', 'p')
        and not c.relispartition
        and c.reltuples >= 1000
        and n.nspname in ('public', 'app', 'audit')
        and c.relname <> 'statements'
        and s.null_frac < 0.95
        and s.n_distinct not in (0, 1)
    order by 1, a.attnum";
/// What an inverted index can look for: text[] of operators' right sides for a column.
const PROBES: &str = "
    select array(
        select pg_catalog.jsonb_build_object(pair.key, pair.value)::text
        from (
            select {column} as value
            from {table}
            where {column} is not null
            order by pg_catalog.md5({column}::text)
            limit 20
        ) as rows
        cross join lateral pg_catalog.jsonb_each(rows.value) as pair (key, value)
        where pg_catalog.jsonb_typeof(rows.value) = 'object'
    )";
/// One side's key, the other's; both tables are in the same database.
const JOINS: [(&str, &str, &str, &str); 8] = [
    ("orders", "o_orderkey", "lineitem", "l_orderkey"),
    ("customer", "c_custkey", "orders", "o_custkey"),
    ("part", "p_partkey", "lineitem", "l_partkey"),
    ("supplier", "s_suppkey", "lineitem", "l_suppkey"),
    ("supplier", "s_suppkey", "partsupp", "ps_suppkey"),
    ("app.atoms", "id", "app.tasks", "atom_id"),
    ("app.tasks", "id", "app.comments", "task_id"),
    ("app.analysis_runs", "id", "app.classifications", "analysis_run_id"),
];
const NUMBERS: [&str; 5] = ["integer", "bigint", "numeric", "smallint", "real"];
const TIMES: [&str; 2] = ["date", "timestamp with time zone"];
const TEXTS: [&str; 3] = ["text", "character varying", "character"];

impl Column {
    fn is(&self, types: &[&str]) -> bool {
        types.contains(&self.type_name.as_str())
    }

    fn ordered(&self) -> bool {
        self.is(&NUMBERS) || self.is(&TIMES) || self.is(&TEXTS)
    }

    fn literal(&self, value: &str) -> String {
        // Without its length, character is one character.
        let type_name = if self.type_name == "character" { "bpchar" } else { &self.type_name };
        format!("'{}'::{type_name}", value.replace('\'', "''"))
    }

    fn value(&self, random: &mut Random) -> String {
        let value: &String = random.pick(&self.values);
        self.literal(value)
    }

    fn equality(&self, random: &mut Random) -> String {
        format!("{} = {}", self.name, self.value(random))
    }

    /// Mostly a small part of the histogram, now and then a large one.
    fn range(&self, random: &mut Random) -> String {
        if self.bounds.len() < 3 {
            return format!("{} > {}", self.name, self.value(random));
        }
        let width = if random.chance(75) { 1 + self.bounds.len() / 50 } else { 1 + self.bounds.len() / 4 };
        let from = random.below(self.bounds.len() - width);
        let (low, high) = (&self.bounds[from], &self.bounds[from + width]);
        format!("{0} >= {1} and {0} < {2}", self.name, self.literal(low), self.literal(high))
    }

    fn predicate(&self, random: &mut Random) -> String {
        match random.below(10) {
            0..5 => self.equality(random),
            5..8 if self.ordered() => self.range(random),
            8 => {
                let values = (0..2 + random.below(5)).map(|_| self.value(random)).collect::<Vec<_>>();
                format!("{} in ({})", self.name, values.join(", "))
            }
            _ => self.equality(random),
        }
    }
}

pub struct Source {
    tables: Vec<Table>,
    /// Table, column, kind of the index after USING, conditions.
    inverted: Vec<(String, String, Vec<String>)>,
}

impl Source {
    pub fn read(client: &mut Client) -> Result<Source> {
        let mut tables: Vec<Table> = Vec::new();
        for row in client.query(TABLES, &[])? {
            let name: String = row.get(0);
            let column = Column { name: row.get(1), type_name: row.get(2), values: row.get(3), bounds: row.get(4) };
            if tables.last().is_none_or(|table| table.name != name) {
                tables.push(Table { name, columns: Vec::new() });
            }
            if let Some(table) = tables.last_mut() {
                table.columns.push(column);
            }
        }
        let mut inverted = Vec::new();
        for table in &tables {
            for column in &table.columns {
                for (using, conditions) in inverted_of(client, table, column)? {
                    if !conditions.is_empty() {
                        inverted.push((table.name.clone(), using, conditions));
                    }
                }
            }
        }
        for table in &mut tables {
            table
                .columns
                .retain(|column| !column.values.is_empty() && !column.is(&["jsonb", "tsvector", "text[]", "vector"]));
        }
        tables.retain(|table| table.columns.len() >= 2);
        Ok(Source { tables, inverted })
    }

    pub fn draw(&self, random: &mut Random) -> Pair {
        match random.below(100) {
            0..20 => self.composite(random, "btree"),
            20..32 => self.covering(random),
            32..44 => self.partial(random),
            44..54 => self.ordered(random),
            54..64 => self.expression(random),
            64..76 if self.joins().next().is_some() => self.join(random),
            76..88 if !self.inverted.is_empty() => self.inverted(random),
            76..94 => self.single(random, "brin"),
            _ => self.single(random, "hash"),
        }
    }

    /// A table and so many of its columns in random order.
    fn columns(&self, random: &mut Random, count: usize) -> (&Table, Vec<&Column>) {
        let table = random.pick(&self.tables);
        let mut columns = table.columns.iter().collect::<Vec<_>>();
        while columns.len() > count {
            columns.swap_remove(random.below(columns.len()));
        }
        let first = random.below(columns.len());
        columns.rotate_left(first);
        (table, columns)
    }

    fn composite(&self, random: &mut Random, kind: &'static str) -> Pair {
        let width = 1 + random.below(3);
        let (table, columns) = self.columns(random, width);
        let conditions = columns.iter().map(|column| column.predicate(random)).collect::<Vec<_>>();
        let query = format!("select * from {} where {}", table.name, conditions.join(" and "));
        Pair::new(kind, query, format!("{} ({})", table.name, list(&columns)))
    }

    fn covering(&self, random: &mut Random) -> Pair {
        let width = 2 + random.below(2);
        let (table, columns) = self.columns(random, width);
        let (key, included) = (columns[0], &columns[1..]);
        let query = format!("select {} from {} where {}", list(included), table.name, key.predicate(random));
        Pair::new("include", query, format!("{} ({}) include ({})", table.name, key.name, list(included)))
    }

    fn partial(&self, random: &mut Random) -> Pair {
        let (table, columns) = self.columns(random, 2);
        let (key, condition) = (columns[0], columns[1].equality(random));
        let query = format!("select * from {} where {} and {condition}", table.name, key.predicate(random));
        Pair::new("partial", query, format!("{} ({}) where {condition}", table.name, key.name))
    }

    fn ordered(&self, random: &mut Random) -> Pair {
        let (table, columns) = self.columns(random, 2);
        let (first, second) = (columns[0], columns[1]);
        let direction = if random.chance(60) { " desc" } else { "" };
        let limit = [1, 10, 100, 1000][random.below(4)];
        let (query, keys) = match random.below(3) {
            0 => (format!("order by {}{direction} limit {limit}", first.name), format!("{}{direction}", first.name)),
            1 => (
                format!("where {} order by {}{direction} limit {limit}", first.equality(random), second.name),
                format!("{}, {}{direction}", first.name, second.name),
            ),
            _ => (
                format!("order by {}{direction}, {} limit {limit}", first.name, second.name),
                format!("{}{direction}, {}", first.name, second.name),
            ),
        };
        let query = format!("select * from {} {query}", table.name);
        Pair::new("order", query, format!("{} ({keys})", table.name))
    }

    fn expression(&self, random: &mut Random) -> Pair {
        loop {
            let (table, columns) = self.columns(random, 1);
            let column = columns[0];
            let literal = column.value(random);
            let expression = |of: &str| match column.type_name.as_str() {
                "text" | "character varying" => Some(format!("lower({of})")),
                "integer" | "bigint" => Some(format!("({of} % 1000)")),
                "date" => Some(format!("extract(year from {of})")),
                "timestamp with time zone" => Some(format!("date_trunc('day', {of} at time zone 'UTC')")),
                _ => None,
            };
            let (Some(key), Some(value)) = (expression(&column.name), expression(&literal)) else { continue };
            let query = format!("select * from {} where {key} = {value}", table.name);
            let on = format!("{} (({key}))", table.name);
            return Pair { expression: Some(key), ..Pair::new("expression", query, on) };
        }
    }

    fn joins(&self) -> impl Iterator<Item = (&Table, &str, &Table, &str)> {
        let known = |name: &str| self.tables.iter().find(|table| table.name == name);
        JOINS.iter().filter_map(move |join| Some((known(join.0)?, join.1, known(join.2)?, join.3)))
    }

    fn join(&self, random: &mut Random) -> Pair {
        let known = |name: &str| self.tables.iter().find(|table| table.name == name);
        let joins =
            JOINS.iter().filter_map(|join| Some((known(join.0)?, join.1, known(join.2)?, join.3))).collect::<Vec<_>>();
        let (one, key, many, reference) = random.pick(&joins);
        let column = random.pick(&one.columns);
        let condition = column.predicate(random);
        let extra = if random.chance(40) { format!(", {}", random.pick(&many.columns).name) } else { String::new() };
        let query = format!(
            "select count(*) from (select * from {} where {condition}) as one join {} as many on many.{reference} = one.{key}",
            one.name, many.name
        );
        let keys =
            if extra == format!(", {reference}") { reference.to_string() } else { format!("{reference}{extra}") };
        Pair::new("join", query, format!("{} ({keys})", many.name))
    }

    fn inverted(&self, random: &mut Random) -> Pair {
        let (table, using, conditions) = random.pick(&self.inverted);
        let query = format!("select * from {table} where {}", random.pick(conditions));
        Pair::new("gin", query, format!("{table} using gin ({using})"))
    }

    fn single(&self, random: &mut Random, method: &'static str) -> Pair {
        loop {
            let (table, columns) = self.columns(random, 1);
            let column = columns[0];
            if method == "brin" && (!column.ordered() || column.bounds.is_empty()) {
                continue;
            }
            let condition = if method == "brin" { column.range(random) } else { column.equality(random) };
            let query = format!("select * from {} where {condition}", table.name);
            return Pair::new(method, query, format!("{} using {method} ({})", table.name, column.name));
        }
    }
}

fn list(columns: &[&Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What stands in the parentheses of a GIN index, and conditions it serves.
fn inverted_of(client: &mut Client, table: &Table, column: &Column) -> Result<Vec<(String, Vec<String>)>> {
    let name = &column.name;
    let quoted = |value: &str| value.replace('\'', "''");
    Ok(match column.type_name.as_str() {
        "jsonb" => {
            let probes: Vec<String> =
                client.query_one(&PROBES.replace("{column}", name).replace("{table}", &table.name), &[])?.get(0);
            let conditions = probes.iter().map(|probe| format!("{name} @> '{}'", quoted(probe))).collect::<Vec<_>>();
            vec![(name.clone(), conditions.clone()), (format!("{name} jsonb_path_ops"), conditions)]
        }
        "text[]" | "tsvector" => {
            let elements = "
                select coalesce(most_common_elems::text::text[], '{}')
                from pg_catalog.pg_stats
                where pg_catalog.format('%I.%I', schemaname, tablename)::regclass = ($1::text)::regclass and attname = $2";
            let elements: Vec<String> = client.query_one(elements, &[&table.name, name])?.get(0);
            let condition = |element: &String| match column.type_name.as_str() {
                "tsvector" => format!("{name} @@ '{}'::tsquery", quoted(&format!("'{}'", quoted(element)))),
                _ => format!("{name} @> array['{}']", quoted(element)),
            };
            vec![(name.clone(), elements.iter().map(condition).collect())]
        }
        "text" | "character varying" if !column.values.is_empty() => {
            let middle = |value: &String| value.chars().skip(2).take(6).collect::<String>();
            let parts = column.values.iter().map(middle).filter(|part| part.len() >= 4);
            let conditions = parts.map(|part| format!("{name} like '%{}%'", quoted(&part))).collect();
            vec![(format!("{name} gin_trgm_ops"), conditions)]
        }
        _ => Vec::new(),
    })
}
