//! Each kind of statement to the module that follows it.

use super::tables::new_name;
use super::triggers::Trigger;
use super::views::TableAs;
use super::whole::name_of;
use super::{
    Model, Prediction, alter_table, drops, indexes, maintenance, queries, renames, tables, triggers, types, views,
};
use crate::facts::migration::text::Parsed;
use crate::facts::migration::{Effect, LockMode, NameAsWritten, ObjectKind, Statement, text};

/// What the statement would do to what the model holds; the model is what it leaves.
pub fn predict(model: &mut Model, parsed: &Parsed) -> Prediction {
    follow(model, &parsed.statement, &parsed.text)
}

fn follow(model: &mut Model, statement: &Statement, text: &str) -> Prediction {
    match statement {
        Statement::AlterTable(statement) => alter_table::predict(model, statement, text),
        Statement::CreateTable(statement) => tables::create(model, statement),
        Statement::CreateIndex(statement) => indexes::create(model, statement),
        Statement::Reindex(statement) => indexes::reindex(model, statement),
        Statement::Drop(statement) => drops::drop(model, statement),
        Statement::Truncate(statement) => maintenance::truncate(model, statement),
        Statement::Rename(statement) => renames::rename(model, statement),
        Statement::SetSchema { kind, object, schema, missing_ok } => {
            renames::set_schema(model, *kind, object, schema, *missing_ok)
        }
        Statement::Owner { kind, object, .. } => renames::owner(model, *kind, object),
        Statement::CreateView { name, replace, query, .. } => views::create_view(model, name, *replace, query, text),
        Statement::CreateTableAs { name, materialized_view, temporary, if_not_exists, with_data, query } => {
            let statement = TableAs {
                name,
                materialized_view: *materialized_view,
                temporary: *temporary,
                if_not_exists: *if_not_exists,
                with_data: *with_data,
                query,
            };
            views::create_table_as(model, &statement)
        }
        Statement::RefreshMaterializedView { name, concurrently, with_data } => {
            views::refresh(model, name, *concurrently, *with_data)
        }
        Statement::Cluster { relation, index } => maintenance::cluster(model, relation.as_ref(), index.as_deref()),
        Statement::Vacuum { relations, full, analyze } => maintenance::vacuum(model, relations, *full, *analyze),
        Statement::Analyze { relations } => maintenance::analyze(model, relations),
        Statement::CreateTrigger { name, relation, function, constraint_from, each_row, replace } => {
            let trigger = Trigger {
                name,
                relation,
                function,
                constraint_from: constraint_from.as_ref(),
                replace: *replace,
                each_row: *each_row,
            };
            triggers::create_trigger(model, &trigger)
        }
        Statement::CreateRule { relation, .. } => triggers::create_rule(model, relation, text),
        Statement::Policy { name, relation, create } => triggers::policy(model, name, relation, *create),
        Statement::CreateType { name, kind } => types::create(model, name, kind),
        Statement::AlterEnum(statement) => types::alter_enum(model, statement),
        Statement::CreateDomain { name, base, constraints, has_default } => {
            types::create_domain(model, name, &base.text, constraints, *has_default)
        }
        Statement::AlterDomain(statement) => types::alter_domain(model, &statement.name, &statement.action),
        Statement::CreateSequence { name, if_not_exists, temporary, .. } => {
            create_sequence(model, name, *if_not_exists, *temporary)
        }
        Statement::AlterSequence { name, missing_ok, .. } => maintenance::alter_sequence(model, name, *missing_ok),
        Statement::CreateSchema { name, if_not_exists, elements } => {
            create_schema(model, name, *if_not_exists, elements, text)
        }
        Statement::CreateFunction { name, language, body, .. } => {
            let sql = language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case("sql"));
            create_function(model, name, body.as_deref().filter(|_| sql))
        }
        Statement::CreateStatistics { relations, .. } => maintenance::create_statistics(model, relations),
        Statement::Publication { name, create, relations, .. } => {
            maintenance::publication(model, name, relations, !create && sets_tables(text))
        }
        Statement::Comment { kind, object } => maintenance::comment(model, *kind, object),
        Statement::Grant { kind, objects, .. } => maintenance::grant(model, *kind, objects),
        Statement::Lock { relations, only, mode, .. } => maintenance::lock(model, relations, only, *mode),
        Statement::Copy { relation, from, .. } => queries::copy(model, relation.as_ref(), *from, text),
        Statement::Query(statement) => queries::query(model, statement, text),
        Statement::Do { statements, dynamic, body, .. } => block(model, statements, *dynamic, commits_in_loop(body)),
        Statement::Call { procedure } => queries::call(model, procedure),
        Statement::Other { tag } => other(model, tag),
        Statement::CreateExtension { .. }
        | Statement::Transaction(_)
        | Statement::Set(_)
        | Statement::SyntaxError(_) => Prediction::default(),
    }
}

/// All that its statements do, for which of them run is not told.
fn block(model: &mut Model, statements: &[Parsed], dynamic: bool, in_batches: bool) -> Prediction {
    let mut whole = Prediction::default();
    for parsed in statements {
        let one = predict(model, parsed);
        for lock in one.locks {
            match whole.locks.iter_mut().find(|known| known.target.id == lock.target.id) {
                Some(known) => known.mode = known.mode.max(lock.mode),
                None => whole.locks.push(lock),
            }
        }
        // Whether it runs at all is not told: IF NOT EXISTS … THEN CREATE, EXCEPTION WHEN duplicate_object.
        let effects = one.effects.into_iter().filter(|effect| !matches!(effect, Effect::Fails { .. }));
        whole.effects.extend(effects.map(|effect| match effect {
            Effect::Writes { table, kind, has_condition: true, .. } if in_batches => {
                let basis = "a batch at a time, each committed".to_string();
                Effect::Writes { table, kind, rows: 0.0, has_condition: true, basis }
            }
            effect => effect,
        }));
    }
    if dynamic {
        whole.not_judged("It executes text that is put together as it runs.");
    }
    whole
}

/// ALTER PUBLICATION … SET TABLE also takes out what is not listed.
fn sets_tables(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.windows(2).any(|pair| pair[0] == "set" && pair[1].starts_with("table"))
}

/// The way to write many rows: a loop that ends its transaction with each turn.
fn commits_in_loop(body: &str) -> bool {
    let body = body.to_lowercase();
    let has = |word: &str| body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
    has("loop") && has("commit")
}

fn create_sequence(model: &mut Model, name: &NameAsWritten, if_not_exists: bool, temporary: bool) -> Prediction {
    let mut prediction = Prediction::default();
    if let Some(name) = new_name(model, &mut prediction, name, temporary, if_not_exists) {
        let sequence = tables::empty(model, name, ObjectKind::Sequence);
        model.create(sequence);
    }
    prediction
}

fn create_schema(model: &mut Model, name: &str, if_not_exists: bool, elements: &[Statement], text: &str) -> Prediction {
    let mut prediction = Prediction::default();
    if model.has_schema(name) {
        if !if_not_exists {
            prediction.exists(ObjectKind::Schema, name);
        }
        return prediction;
    }
    model.create_schema(name);
    // What is created in it is looked up there first.
    let path = model.search_path.clone();
    model.search_path.insert(0, name.to_string());
    for element in elements {
        let one = follow(model, element, text);
        for lock in one.locks {
            prediction.lock(model, lock.target.id, lock.mode);
        }
        prediction.effects.extend(one.effects);
    }
    model.search_path = path;
    prediction
}

/// A body in SQL is analyzed, which locks what it writes.
fn create_function(model: &mut Model, name: &[String], body: Option<&str>) -> Prediction {
    let mut prediction = Prediction::default();
    let name = name_of(name);
    match name.schema.clone().or_else(|| model.creation_schema().map(str::to_string)) {
        Some(schema) if model.has_schema(&schema) => model.create_function(&schema, &name.name),
        schema => prediction.missing(ObjectKind::Schema, schema.unwrap_or_default()),
    }
    for parsed in body.map(|body| text::read(body).statements).unwrap_or_default() {
        let Statement::Query(query) = parsed.statement else { continue };
        for id in query.writes.iter().filter_map(|(_, name)| model.find_id(name)) {
            prediction.lock(model, id, LockMode::RowExclusive);
        }
    }
    prediction
}

/// DDL without a variant of its own concerns no relation.
fn other(model: &Model, tag: &str) -> Prediction {
    let mut prediction = Prediction::default();
    let alone = ["create database", "drop database", "create tablespace", "drop tablespace", "alter system"];
    if alone.contains(&tag) {
        indexes::in_transaction(model, &mut prediction, &tag.to_uppercase());
    }
    prediction
}
