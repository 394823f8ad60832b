//! What needs search or arithmetic rather than a check.

pub mod dynamic_sql;
pub mod eager_loading;
pub mod index_ddl;
pub mod index_selection;
pub mod index_size;
pub mod logged;
pub mod lookups;
pub mod measured_query;
pub mod plan_conditions;
pub mod plan_estimates;
pub mod plan_index;
pub mod plan_memory;
pub mod plan_partitions;
pub mod plan_reads;
pub mod plan_weight;
pub mod repeated_bursts;
pub mod rewrite;
pub mod sargable;
pub mod statement_kind;
pub mod statements;
pub mod tenancy;
pub mod workload_plans;
pub mod wrapped_column;
