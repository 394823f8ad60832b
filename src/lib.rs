mod advice;
mod api;
mod db;
mod engine;
mod facts;
mod finding;
mod report;
mod rule;
mod rules;
mod units;

pgrx::pg_module_magic!(name, version);
