//! Vectors of small whole numbers, by which distances are the same here and in pgvector to the last digit, and many are equal.

use crate::server::{execute, value};
use postgres::Client;

/// pgvector can be installed.
pub fn available(client: &mut Client) -> bool {
    value::<i64>(client, "select count(*) from pg_available_extensions where name = 'vector'") > 0
}

/// Of each row and query one, which is in columns of all types. None: NULL.
pub struct Vectors {
    rows: Vec<Option<Vec<i8>>>,
    pub queries: Vec<Vec<i8>>,
}

const DIMENSIONS: usize = 8;

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn vector(&mut self) -> Vec<i8> {
        (0..DIMENSIONS).map(|_| self.below(9) as i8 - 4).collect()
    }
}

impl Vectors {
    /// Tables t (id from 0, tenant, e vector, h halfvec, s sparsevec, b bit) and q (likewise); extension vector.
    pub fn make(client: &mut Client, rows: usize, queries: usize) -> Vectors {
        let mut random = Random(7);
        let mut made: Vec<Option<Vec<i8>>> = Vec::new();
        for id in 0..rows {
            made.push(match id % 100 {
                13 | 57 => None,
                31 => Some(vec![0; DIMENSIONS]),
                rest if rest % 10 == 9 => made[id - 1].clone(),
                _ => Some(random.vector()),
            });
        }
        let queries: Vec<Vec<i8>> = (0..queries).map(|_| random.vector()).collect();
        let vectors = Vectors { rows: made, queries };
        let columns = "e vector(8), h halfvec(8), s sparsevec(8), b bit(8)";
        execute(
            client,
            &format!(
                "create extension vector; create table t (id int primary key, tenant int, {columns}); create table q (id int, {columns})"
            ),
        );
        let tuple = |vector: &Option<Vec<i8>>| match vector {
            None => "null, null, null, null".to_string(),
            Some(vector) => {
                ["e", "h", "s", "b"].map(|column| format!("'{}'", vectors.query_text(column, vector))).join(", ")
            }
        };
        let all: Vec<String> = vectors
            .rows
            .iter()
            .enumerate()
            .map(|(id, row)| format!("({id}, {}, {})", id * 7 % 11 % 5, tuple(row)))
            .collect();
        execute(client, &format!("insert into t values {}", all.join(", ")));
        let all = vectors.queries.iter().cloned().map(Some).enumerate();
        let all: Vec<String> = all.map(|(id, row)| format!("({id}, {})", tuple(&row))).collect();
        execute(client, &format!("insert into q values {}; analyze", all.join(", ")));
        vectors
    }

    pub fn sql_type(&self, column: &str) -> &'static str {
        match column {
            "e" => "vector(8)",
            "h" => "halfvec(8)",
            "s" => "sparsevec(8)",
            _ => "bit(8)",
        }
    }

    pub fn row(&self, column: &str, id: i32) -> Vec<f64> {
        self.query(column, self.rows[id as usize].as_ref().expect("it is not NULL"))
    }

    /// As numbers: bits are those above 0.
    pub fn query(&self, column: &str, vector: &[i8]) -> Vec<f64> {
        vector.iter().map(|number| if column == "b" { f64::from(*number > 0) } else { f64::from(*number) }).collect()
    }

    pub fn query_text(&self, column: &str, vector: &[i8]) -> String {
        match column {
            "s" => {
                let set = vector.iter().enumerate().filter(|(_, number)| **number != 0);
                let set: Vec<String> = set.map(|(position, number)| format!("{}:{number}", position + 1)).collect();
                format!("{{{}}}/{DIMENSIONS}", set.join(","))
            }
            "b" => vector.iter().map(|number| if *number > 0 { '1' } else { '0' }).collect(),
            _ => format!("[{}]", vector.iter().map(i8::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

/// As the operator defines it.
pub fn distance(operator: &str, a: &[f64], b: &[f64]) -> f64 {
    let sum = |of: fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| of(*a, *b)).sum::<f64>();
    let product = sum(|a, b| a * b);
    match operator {
        "<->" => sum(|a, b| (a - b) * (a - b)).sqrt(),
        "<#>" => -product,
        "<=>" => {
            let norms = sum(|a, _| a * a) * sum(|_, b| b * b);
            1.0 - (product / norms.sqrt()).clamp(-1.0, 1.0)
        }
        "<+>" => sum(|a, b| (a - b).abs()),
        "<~>" => sum(|a, b| f64::from(a != b)),
        "<%>" if product == 0.0 => 1.0,
        "<%>" => 1.0 - product / sum(|a, b| f64::from(a > 0.0 || b > 0.0)),
        _ => panic!("operator {operator}"),
    }
}
