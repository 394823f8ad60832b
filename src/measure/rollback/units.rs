//! Objects that go together, and the order in which they can come back.

use super::state::Address;
use crate::db::{self, Row};
use pgrx::pg_sys::{self, Oid};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(super) struct Node {
    pub address: Address,
    /// What it is a part of.
    whole: Option<Address>,
    /// With the kind of dependency, as in pg_depend.
    pub needs: Vec<(Address, String)>,
    pub kind: String,
    pub identity: String,
    pub of_extension: bool,
    pub rows: Option<f64>,
}

pub(super) fn address(row: &mut Row) -> Address {
    Address { class: row.take::<Oid>().to_u32(), oid: row.take::<Oid>().to_u32(), column: row.take() }
}

pub(super) fn read(roots: &[Address]) -> Vec<Node> {
    let (classes, oids, columns) = split(roots.iter());
    let arguments = [classes.into(), oids.into(), columns.into()];
    db::read(include_str!("../../../sql/facts/rollback_dropped.sql"), &arguments, |row| {
        let own = address(row);
        let (class, oid, column): (Option<Oid>, Option<Oid>, Option<i32>) =
            (row.take_option(), row.take_option(), row.take_option());
        let whole = class.zip(oid).zip(column).map(|((class, oid), column)| Address {
            class: class.to_u32(),
            oid: oid.to_u32(),
            column,
        });
        let (classes, oids): (Vec<Oid>, Vec<Oid>) = (row.take(), row.take());
        let (columns, types): (Vec<i32>, Vec<String>) = (row.take(), row.take());
        let needs = classes.into_iter().zip(oids).zip(columns).map(|((class, oid), column)| Address {
            class: class.to_u32(),
            oid: oid.to_u32(),
            column,
        });
        Node {
            address: own,
            whole,
            needs: needs.zip(types).collect(),
            kind: row.take(),
            identity: row.take(),
            of_extension: row.take(),
            rows: row.take_option(),
        }
    })
}

pub(super) fn split<'a>(addresses: impl Iterator<Item = &'a Address>) -> (Vec<Oid>, Vec<Oid>, Vec<i32>) {
    let (mut classes, mut oids, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for address in addresses {
        classes.push(Oid::from(address.class));
        oids.push(Oid::from(address.oid));
        columns.push(address.column);
    }
    (classes, oids, columns)
}

/// Objects that come back as a whole, and what they need of each other.
pub(super) struct Units {
    pub nodes: Vec<Node>,
    pub positions: HashMap<Address, usize>,
    /// By node.
    pub unit: Vec<Address>,
}

impl Units {
    pub fn of(nodes: Vec<Node>) -> Units {
        let positions: HashMap<Address, usize> =
            nodes.iter().enumerate().map(|(position, node)| (node.address, position)).collect();
        let mut units = Units { nodes, positions, unit: Vec::new() };
        units.unit = units.nodes.iter().map(|node| units.whole_of(node.address)).collect();
        units
    }

    fn position(&self, address: Address) -> Option<usize> {
        let of_whole = Address { column: 0, ..address };
        self.positions.get(&address).or_else(|| self.positions.get(&of_whole)).copied()
    }

    fn whole_of(&self, mut address: Address) -> Address {
        // No object is a part of a part of a part of … for long.
        for _ in 0..10 {
            let Some(position) = self.position(address) else { break };
            let node = &self.nodes[position];
            let above = node.whole.and_then(|whole| self.position(whole)).map(|position| self.nodes[position].address);
            match above.filter(|above| *above != node.address) {
                Some(above) => address = above,
                None => return node.address,
            }
        }
        address
    }

    pub fn node(&self, unit: Address) -> &Node {
        &self.nodes[self.positions[&unit]]
    }

    /// Other units that it needs, and how.
    pub fn needs_of(&self, unit: Address) -> Vec<(Address, String)> {
        let of_unit = self.nodes.iter().zip(&self.unit).filter(|(_, own)| **own == unit);
        let needs = of_unit.flat_map(|(node, _)| &node.needs);
        let units = needs.filter_map(|(needed, how)| Some((self.unit[self.position(*needed)?], how.clone())));
        units.filter(|(other, _)| *other != unit).collect()
    }

    /// Of a constraint, the table that has it.
    pub fn own_table(&self, unit: Address) -> Option<u32> {
        let relations = pg_sys::RelationRelationId.to_u32();
        let own = |(needed, how): &&(Address, String)| how == "a" && needed.class == relations;
        self.node(unit).needs.iter().find(own).map(|(needed, _)| needed.oid)
    }

    pub fn all(&self) -> BTreeSet<Address> {
        let made = |node: &Node| !node.of_extension || node.kind == "extension";
        let of = self.nodes.iter().zip(&self.unit).filter(|(_, unit)| made(&self.nodes[self.positions[unit]]));
        of.map(|(_, unit)| *unit).collect()
    }

    /// Each after what it needs.
    pub fn in_order(&self) -> Vec<Address> {
        let all = self.all();
        let mut needs: BTreeMap<Address, HashSet<Address>> = all.iter().map(|unit| (*unit, HashSet::new())).collect();
        for (node, unit) in self.nodes.iter().zip(&self.unit) {
            for (needed, how) in &node.needs {
                let Some(other) = self.position(*needed).map(|position| self.unit[position]) else { continue };
                // A sequence is there before the column that owns it.
                let owned = node.kind == "sequence" && how == "a";
                if other == *unit || owned || !all.contains(&other) || !all.contains(unit) {
                    continue;
                }
                // A parent's index finds those of the partitions, and takes them as its parts.
                let attached = how == "P" && matches!(node.kind.as_str(), "index" | "table constraint");
                let (before, after) = if attached { (*unit, other) } else { (other, *unit) };
                needs.get_mut(&after).expect("all are there").insert(before);
            }
        }
        let mut order = Vec::new();
        while !needs.is_empty() {
            let rank = |unit: &Address| {
                let node = &self.nodes[self.positions[unit]];
                (rank(&node.kind), node.identity.clone(), *unit)
            };
            let ready = needs.iter().filter(|(_, needs)| needs.is_empty()).map(|(unit, _)| *unit).min_by_key(&rank);
            // They need each other: the one that usually comes first.
            let next = ready.or_else(|| needs.keys().copied().min_by_key(&rank)).expect("there are some");
            needs.remove(&next);
            needs.values_mut().for_each(|needs| {
                needs.remove(&next);
            });
            order.push(next);
        }
        order
    }
}

fn rank(kind: &str) -> usize {
    const ORDER: [&str; 20] = [
        "schema",
        "extension",
        "type",
        "composite type",
        "sequence",
        "function",
        "procedure",
        "table",
        "foreign table",
        "table column",
        "default value",
        "domain constraint",
        "index",
        "table constraint",
        "view",
        "materialized view",
        "statistics object",
        "rule",
        "trigger",
        "policy",
    ];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}
