mod advice;
mod api;
mod db;
mod engine;
mod facts;
mod finding;
mod measure;
mod report;
mod rule;
mod rules;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod units;

#[cfg(test)]
pub use tests::pg_test;

pgrx::pg_module_magic!(name, version);

#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    measure::install_hooks();
}
