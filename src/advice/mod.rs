//! What needs search or arithmetic rather than a check.

pub mod dynamic_sql;
pub mod index_ddl;
pub mod index_selection;
pub mod index_size;
pub mod plan_conditions;
pub mod plan_estimates;
pub mod plan_index;
pub mod plan_memory;
pub mod plan_partitions;
pub mod plan_reads;
pub mod plan_weight;
pub mod rewrite;
pub mod sargable;
pub mod statements;
pub mod tenancy;
pub mod wrapped_column;
