//! Who blocks whom as trees: each that waits or blocks once, below one of those that block it.

use super::{Blocker, Party};
use std::cmp::Reverse;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its place among the parties.
    pub party: usize,
    /// The place in the tree of the one that it is shown below: one that holds what it waits for rather than one that queues
    /// before it, and of several the one whose transaction is oldest.
    pub parent: Option<usize>,
    /// The place in the tree of the one that nobody blocks, or, where all block each other, of the one that has waited longest.
    pub root: usize,
    pub depth: usize,
    pub blocks_directly: usize,
    /// Whom it holds up, over however many others, and whichever of several it is shown below.
    pub blocks_in_all: usize,
    /// Those of one number all block each other.
    pub cycle: Option<usize>,
}

/// In the order of a depth-first walk, what holds up most first. `ages`: of each party's transaction.
pub fn tree(parties: &[Party], ages: &[f64]) -> Vec<Node> {
    let graph = Graph::of(parties);
    let components = graph.components();
    let reached = graph.reached(&components);
    let parents = parents(parties, ages, &graph, &components);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parties.len()];
    let mut roots = Vec::new();
    for (party, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(party),
            None => roots.push(party),
        }
    }
    let order = |party: &usize| (Reverse(reached[*party]), Reverse(micros(waited(parties, *party))), *party);
    roots.sort_by_key(order);
    children.iter_mut().for_each(|below| below.sort_by_key(order));
    let mut nodes: Vec<Node> = Vec::with_capacity(parties.len());
    let mut next: Vec<(usize, Option<usize>)> = roots.into_iter().rev().map(|root| (root, None)).collect();
    while let Some((party, parent)) = next.pop() {
        let place = nodes.len();
        let (root, depth) = parent.map_or((place, 0), |parent| (nodes[parent].root, nodes[parent].depth + 1));
        nodes.push(Node {
            party,
            parent,
            root,
            depth,
            blocks_directly: graph.waiters[party].len(),
            blocks_in_all: reached[party],
            cycle: components.cycle(party),
        });
        next.extend(children[party].iter().rev().map(|child| (*child, Some(place))));
    }
    nodes
}

/// Seconds that it has waited for what it waits for longest.
pub fn waited(parties: &[Party], party: usize) -> f64 {
    parties[party].waits.iter().filter_map(|wait| wait.seconds).fold(0.0, f64::max)
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

struct Graph {
    blockers: Vec<Vec<Blocker>>,
    waiters: Vec<Vec<usize>>,
}

struct Components {
    /// Those that can be reached from each other; blockers come before whom they block.
    members: Vec<Vec<usize>>,
    of: Vec<usize>,
}

impl Components {
    fn cycle(&self, party: usize) -> Option<usize> {
        (self.members[self.of[party]].len() > 1).then_some(self.of[party])
    }
}

impl Graph {
    fn of(parties: &[Party]) -> Graph {
        let mut graph = Graph { blockers: Vec::new(), waiters: vec![Vec::new(); parties.len()] };
        for (place, party) in parties.iter().enumerate() {
            let mut blockers = party.waits.iter().map(|wait| wait.blockers.as_slice()).collect::<Vec<_>>().concat();
            blockers.retain(|blocker| blocker.party != place);
            blockers.sort_by_key(|blocker| (blocker.party, !blocker.holds));
            blockers.dedup_by_key(|blocker| blocker.party);
            blockers.iter().for_each(|blocker| graph.waiters[blocker.party].push(place));
            graph.blockers.push(blockers);
        }
        graph
    }

    /// Tarjan's algorithm, without recursion: a chain may be long.
    fn components(&self) -> Components {
        let count = self.blockers.len();
        let (mut index, mut low, mut on_stack) = (vec![usize::MAX; count], vec![0; count], vec![false; count]);
        let (mut stack, mut found) = (Vec::new(), Components { members: Vec::new(), of: vec![0; count] });
        let mut counter = 0;
        for start in 0..count {
            let mut calls = if index[start] == usize::MAX { vec![(start, 0)] } else { Vec::new() };
            while let Some((party, mut edge)) = calls.pop() {
                if edge == 0 {
                    (index[party], low[party], on_stack[party]) = (counter, counter, true);
                    counter += 1;
                    stack.push(party);
                }
                let mut unseen = None;
                for blocker in self.blockers[party][edge..].iter().map(|blocker| blocker.party) {
                    edge += 1;
                    if index[blocker] == usize::MAX {
                        unseen = Some(blocker);
                        break;
                    }
                    if on_stack[blocker] {
                        low[party] = low[party].min(index[blocker]);
                    }
                }
                if let Some(blocker) = unseen {
                    calls.extend([(party, edge), (blocker, 0)]);
                    continue;
                }
                if let Some((caller, _)) = calls.last() {
                    low[*caller] = low[*caller].min(low[party]);
                }
                if low[party] == index[party] {
                    let from = stack.iter().rposition(|member| *member == party).unwrap_or(0);
                    let members = stack.split_off(from);
                    for member in &members {
                        on_stack[*member] = false;
                        found.of[*member] = found.members.len();
                    }
                    found.members.push(members);
                }
            }
        }
        found
    }

    /// How many each holds up, directly or over others.
    fn reached(&self, components: &Components) -> Vec<usize> {
        let words = self.blockers.len().div_ceil(64);
        let mut sets: Vec<Vec<u64>> = vec![Vec::new(); components.members.len()];
        let mut counts = vec![0; self.blockers.len()];
        for (component, members) in components.members.iter().enumerate().rev() {
            let mut set = vec![0_u64; words];
            if members.len() > 1 {
                members.iter().for_each(|member| set[member / 64] |= 1 << (member % 64));
            }
            for waiter in members.iter().flat_map(|member| &self.waiters[*member]).copied() {
                // Who is in the set has brought along all whom it holds up.
                if set[waiter / 64] & 1 << (waiter % 64) == 0 {
                    set[waiter / 64] |= 1 << (waiter % 64);
                    set.iter_mut().zip(&sets[components.of[waiter]]).for_each(|(word, more)| *word |= more);
                }
            }
            let count: u32 = set.iter().map(|word| word.count_ones()).sum();
            for member in members {
                // Itself it does not hold up.
                counts[*member] = count as usize - usize::from(members.len() > 1);
            }
            sets[component] = set;
        }
        counts
    }
}

fn parents(parties: &[Party], ages: &[f64], graph: &Graph, components: &Components) -> Vec<Option<usize>> {
    let mut by_age: Vec<usize> = (0..parties.len()).collect();
    by_age.sort_by_key(|party| (Reverse(micros(ages[*party])), *party));
    let mut preference = vec![0; parties.len()];
    by_age.into_iter().rev().enumerate().for_each(|(number, party)| preference[party] = number);
    let mut parents: Vec<Option<usize>> = vec![None; parties.len()];
    for (component, members) in components.members.iter().enumerate() {
        for member in members {
            let outside = graph.blockers[*member].iter().filter(|blocker| components.of[blocker.party] != component);
            let best = outside.max_by_key(|blocker| (blocker.holds, preference[blocker.party]));
            parents[*member] = best.map(|blocker| blocker.party);
        }
        if members.len() == 1 {
            continue;
        }
        // Within a cycle from those that others block; where there are none, from the one that has waited longest.
        let mut placed: Vec<usize> = members.iter().copied().filter(|member| parents[*member].is_some()).collect();
        if placed.is_empty() {
            let longest = members.iter().max_by_key(|member| (micros(waited(parties, **member)), Reverse(**member)));
            placed.extend(longest);
        }
        let first = placed[0];
        let mut position = 0;
        while let Some(blocker) = placed.get(position).copied() {
            for waiter in &graph.waiters[blocker] {
                if components.of[*waiter] == component && parents[*waiter].is_none() && *waiter != first {
                    parents[*waiter] = Some(blocker);
                    placed.push(*waiter);
                }
            }
            position += 1;
        }
    }
    parents
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::activity::locks::{Kind, LockWait, Target, Who};

    /// Parties by what each waits for: `(blocker, holds)`; the first has waited longest.
    fn parties(waits: &[&[(usize, bool)]]) -> Vec<Party> {
        let target = Target { kind: Kind::Transaction, database: 0, relation: None, name: String::new() };
        let party = |(place, blockers): (usize, &&[(usize, bool)])| Party {
            who: Who::Process(place as i32 + 1),
            waits: match blockers.is_empty() {
                true => Vec::new(),
                false => vec![LockWait {
                    pid: place as i32 + 1,
                    target: target.clone(),
                    row: None,
                    mode: None,
                    seconds: Some(1000.0 - place as f64),
                    blockers: blockers.iter().map(|(party, holds)| Blocker { party: *party, holds: *holds }).collect(),
                    next: Vec::new(),
                }],
            },
            holds: Vec::new(),
        };
        waits.iter().enumerate().map(party).collect()
    }

    fn shape(waits: &[&[(usize, bool)]], ages: &[f64]) -> Vec<(usize, Option<usize>, usize, usize, bool)> {
        let nodes = tree(&parties(waits), ages);
        let parent = |node: &Node| node.parent.map(|parent| nodes[parent].party);
        nodes
            .iter()
            .map(|node| (node.party, parent(node), node.depth, node.blocks_in_all, node.cycle.is_some()))
            .collect()
    }

    #[test]
    fn a_chain() {
        let found = shape(&[&[], &[(0, true)], &[(1, true)]], &[3.0, 2.0, 1.0]);
        assert_eq!(found, [(0, None, 0, 2, false), (1, Some(0), 1, 1, false), (2, Some(1), 2, 0, false)]);
    }

    #[test]
    fn holders_come_before_those_ahead_in_the_queue_and_old_transactions_before_young_ones() {
        // 3 is behind 2, which waits for both roots; 4 waits for 1, which is older, and 0.
        let waits: [&[_]; 5] = [&[], &[], &[(0, true), (1, true)], &[(2, false), (0, true)], &[(0, true), (1, true)]];
        let found = shape(&waits, &[1.0, 9.0, 0.0, 0.0, 0.0]);
        let parents: Vec<_> = found.iter().map(|(party, parent, ..)| (*party, *parent)).collect();
        assert_eq!(parents, [(0, None), (3, Some(0)), (1, None), (2, Some(1)), (4, Some(1))]);
        let in_all: Vec<_> = found.iter().map(|(party, _, _, in_all, _)| (*party, *in_all)).collect();
        assert_eq!(in_all, [(0, 3), (3, 0), (1, 3), (2, 1), (4, 0)]);
    }

    #[test]
    fn a_cycle_begins_with_the_one_that_has_waited_longest() {
        // 0 and 1 block each other, 2 waits for 1.
        let found = shape(&[&[(1, true)], &[(0, true)], &[(1, true)]], &[0.0; 3]);
        assert_eq!(found, [(0, None, 0, 2, true), (1, Some(0), 1, 2, true), (2, Some(1), 2, 0, false)]);
    }

    #[test]
    fn a_cycle_that_somebody_else_blocks_hangs_below_that_one() {
        let found = shape(&[&[(1, true), (2, true)], &[(0, true)], &[]], &[0.0; 3]);
        assert_eq!(found, [(2, None, 0, 2, false), (0, Some(2), 1, 1, true), (1, Some(0), 2, 1, true)]);
    }

    #[test]
    fn every_party_is_there_once_and_long_chains_end() {
        let waits: Vec<Vec<(usize, bool)>> =
            (0..5000).map(|place| if place == 0 { vec![] } else { vec![(place - 1, true)] }).collect();
        let waits: Vec<&[(usize, bool)]> = waits.iter().map(Vec::as_slice).collect();
        let found = shape(&waits, &[0.0; 5000]);
        assert_eq!(found.len(), 5000);
        assert_eq!((found[0].3, found[4999].2), (4999, 4999));
        assert!(shape(&[], &[]).is_empty());
    }
}
