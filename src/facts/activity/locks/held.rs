//! What those hold who block others.

use super::parties::{Held, Identities, Party, Who};
use super::read::Entry;
use super::relation_names::RelationNames;
use super::target::Tag;
use super::{Kind, Mode};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Of what a party holds so much is told.
const MOST_HELD: usize = 50;

pub fn add(
    mut parties: Vec<Party>,
    entries: &[Entry],
    identities: &Identities,
    contended: &HashMap<Tag, Vec<(Who, &Entry)>>,
    names: &mut RelationNames,
) -> Vec<Party> {
    if parties.is_empty() {
        return parties;
    }
    let mut blocks = vec![false; parties.len()];
    let blockers = parties.iter().flat_map(|party| &party.waits).flat_map(|wait| &wait.blockers);
    blockers.for_each(|blocker| blocks[blocker.party] = true);
    let places: HashMap<Who, usize> = parties
        .iter()
        .enumerate()
        .filter(|(place, _)| blocks[*place])
        .map(|(place, party)| (party.who, place))
        .collect();
    let mut held: Vec<Vec<(bool, Mode, Tag)>> = vec![Vec::new(); parties.len()];
    for entry in entries {
        let Some(mode) = entry.holds.strongest() else { continue };
        let waited_for = contended.contains_key(&entry.tag);
        if !waited_for && entry.tag.kind() != Kind::Relation {
            continue;
        }
        if let Some(place) = identities.who(entry).and_then(|who| places.get(&who)) {
            held[*place].push((waited_for, mode, entry.tag));
        }
    }
    for (party, mut of_party) in parties.iter_mut().zip(held) {
        of_party
            .sort_by_key(|(waited_for, mode, tag)| (Reverse((*waited_for, *mode)), tag.kind, tag.fields, tag.field4));
        of_party.dedup();
        of_party.truncate(MOST_HELD);
        let held = |(waited_for, mode, tag): (bool, Mode, Tag)| Held { target: names.target(&tag), mode, waited_for };
        party.holds = of_party.into_iter().map(held).collect();
    }
    parties
}
