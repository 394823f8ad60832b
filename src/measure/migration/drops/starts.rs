//! Which objects a DROP names.

use super::*;

pub fn resolve(
    model: &mut Model,
    prediction: &mut Prediction,
    statement: &Drop,
    parts: &[String],
    starts: &mut Starts,
) {
    let name = name_of(parts);
    let kind = statement.kind;
    match kind {
        ObjectKind::Table
        | ObjectKind::PartitionedTable
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Sequence
        | ObjectKind::Index => match model.lookup(&name) {
            Some(named) => start_at_relation(model, prediction, kind, named, starts),
            None => missing(prediction, statement, kind, written(&name)),
        },
        ObjectKind::Trigger | ObjectKind::Policy | ObjectKind::Rule => {
            part_of_relation(model, prediction, statement, parts, starts)
        }
        ObjectKind::Type | ObjectKind::Domain => match model.find_type(&name).map(|found| found.id) {
            Some(Id::Oid(object)) => starts.addresses.push(Address { class: TYPES, object, part: 0 }),
            Some(new) => model.drop_type(new),
            None => missing(prediction, statement, kind, written(&name)),
        },
        ObjectKind::Function => {
            let fits = |named: &&NamedObject| match &name.schema {
                Some(schema) => named.schema == *schema,
                None => model.search_path.contains(&named.schema),
            };
            let named: Vec<Address> = model
                .dependencies
                .named("function", &name.name, None)
                .filter(fits)
                .map(|named| named.address)
                .collect();
            let known: Vec<Address> = named.into_iter().filter(|address| !model.gone.contains(address)).collect();
            match known.as_slice() {
                [only] => starts.addresses.push(*only),
                [] if model.has_function(name.schema.as_deref(), &name.name) => {}
                [] => missing(prediction, statement, kind, written(&name)),
                _ => prediction.not_judged(format!("Several functions are named {}.", written(&name))),
            }
        }
        ObjectKind::Schema if !model.has_schema(&name.name) => missing(prediction, statement, kind, name.name),
        ObjectKind::Schema => start_at(model, "schema", &name, starts),
        ObjectKind::Extension => start_at(model, "extension", &name, starts),
        ObjectKind::Publication => start_at(model, "publication", &name, starts),
        ObjectKind::Statistics => start_at(model, "statistics", &name, starts),
        ObjectKind::Other => start_at(model, "other", &name, starts),
        _ => {}
    }
}

fn missing(prediction: &mut Prediction, statement: &Drop, kind: ObjectKind, name: String) {
    match kind {
        _ if statement.missing_ok => {}
        // DROP says of an index, and of no other relation, that the object is not defined.
        ObjectKind::Index => prediction.fails(Failure::Missing { kind, name }, "42704"),
        _ => prediction.missing(kind, name),
    }
}

fn start_at_relation(model: &Model, prediction: &mut Prediction, kind: ObjectKind, named: Named, starts: &mut Starts) {
    let (id, found) = match named {
        Named::Index { id, .. } => (id, ObjectKind::Index),
        Named::Relation(id) => (id, model.relation(id).map_or(kind, |relation| relation.kind)),
    };
    let fits = found == kind || (kind == ObjectKind::Table && found == ObjectKind::PartitionedTable);
    if !fits {
        let name = model.target(id).map(|target| target.name.to_string()).unwrap_or_default();
        prediction.fails(Failure::Other { message: format!("{name} is of another kind") }, "42809");
        return;
    }
    match id {
        Id::Oid(object) => starts.addresses.push(Address { class: RELATIONS, object, part: 0 }),
        Id::New(_) => starts.new.push(id),
    }
}

fn part_of_relation(
    model: &mut Model,
    prediction: &mut Prediction,
    statement: &Drop,
    parts: &[String],
    starts: &mut Starts,
) {
    let (Some(own), Some(relation)) = (parts.last(), parts.len().checked_sub(1).map(|end| name_of(&parts[..end])))
    else {
        return;
    };
    let kind = match statement.kind {
        ObjectKind::Trigger => "trigger",
        ObjectKind::Policy => "policy",
        _ => "rule",
    };
    let Some(id) = model.find_id(&relation) else {
        return missing(prediction, statement, ObjectKind::Table, written(&relation));
    };
    let of_it = |named: &&NamedObject| {
        let object = model.dependencies.object(named.address);
        named.part == *own
            && object.and_then(|object| object.relation.as_ref()).is_some_and(|relation| relation.id == id)
    };
    let known = model.dependencies.parts(kind).find(of_it).map(|named| named.address);
    if let Some(address) = known.filter(|address| !model.gone.contains(address)) {
        starts.addresses.push(address);
        return;
    }
    // What the migration itself has made goes without a trace in the catalogs.
    let made = model.relation_mut(id).is_some_and(|relation| {
        let names = if statement.kind == ObjectKind::Trigger { &mut relation.triggers } else { &mut relation.policies };
        let before = names.len();
        names.retain(|name| name != own);
        names.len() < before
    });
    if made || statement.kind == ObjectKind::Rule {
        for part in with_partitions(model, id) {
            prediction.lock(model, part, LockMode::AccessExclusive);
        }
    } else {
        missing(prediction, statement, statement.kind, own.clone());
    }
}

/// What is not there is left to the server to say: the migration may have made it.
fn start_at(model: &Model, kind: &str, name: &NameAsWritten, starts: &mut Starts) {
    let fits = |named: &&NamedObject| name.schema.as_ref().is_none_or(|schema| named.schema == *schema);
    let found = model.dependencies.named(kind, &name.name, None).find(fits).map(|named| named.address);
    starts.addresses.extend(found.filter(|address| !model.gone.contains(address)));
}
