//! Whom somebody holds up, and who goes on when somebody ends. All by their places in the tree.

use super::{Blocker, Node, Party};

#[derive(Debug, Default)]
pub struct LockWaits {
    /// Of each place, who blocks it, and whether by what it holds rather than by coming first.
    blockers: Vec<Vec<(usize, bool)>>,
    waiters: Vec<Vec<usize>>,
    /// Of each place, whether it lets go of what it waits for with its session only.
    keeps: Vec<bool>,
}

impl LockWaits {
    pub fn of(nodes: &[Node], parties: &[Party], keeps: impl Fn(&Party) -> bool) -> LockWaits {
        let mut places = vec![0; nodes.len()];
        nodes.iter().enumerate().for_each(|(place, node)| places[node.party] = place);
        let of_wait = |blocker: &Blocker| (places[blocker.party], blocker.holds);
        let of_node =
            |node: &Node| parties[node.party].waits.iter().flat_map(|wait| &wait.blockers).map(of_wait).collect();
        let blockers: Vec<Vec<(usize, bool)>> = nodes.iter().map(of_node).collect();
        let mut waiters = vec![Vec::new(); nodes.len()];
        for (place, of_place) in blockers.iter().enumerate() {
            of_place.iter().for_each(|(blocker, _)| waiters[*blocker].push(place));
        }
        LockWaits { blockers, waiters, keeps: nodes.iter().map(|node| keeps(&parties[node.party])).collect() }
    }

    pub fn keeps(&self, place: usize) -> bool {
        self.keeps[place]
    }

    pub fn blockers(&self, place: usize) -> &[(usize, bool)] {
        &self.blockers[place]
    }

    /// Those whom it blocks itself.
    pub fn waiters(&self, place: usize) -> &[usize] {
        &self.waiters[place]
    }

    pub fn count(&self) -> usize {
        self.waiters.len()
    }

    /// Of each place, whether one of these blocks it itself.
    pub fn blocked_by(&self, blockers: &[usize]) -> Vec<bool> {
        let mut blocked = vec![false; self.count()];
        blockers.iter().flat_map(|place| &self.waiters[*place]).for_each(|waiter| blocked[*waiter] = true);
        blocked
    }

    /// In order, those whom these hold up, over however many others, but over none of `without`.
    pub fn held_up(&self, roots: &[usize], without: &[bool]) -> Vec<usize> {
        let mut seen = without.to_vec();
        roots.iter().for_each(|root| seen[*root] = true);
        let (mut found, mut next) = (Vec::new(), roots.to_vec());
        while let Some(place) = next.pop() {
            for waiter in &self.waiters[place] {
                if !seen[*waiter] {
                    seen[*waiter] = true;
                    found.push(*waiter);
                    next.push(*waiter);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// In order, those who go on when these end: all that block them have ended, or gone on.
    pub fn freed(&self, ended: &[usize]) -> Vec<usize> {
        let mut left: Vec<usize> = self.blockers.iter().map(Vec::len).collect();
        let mut gone = vec![false; left.len()];
        ended.iter().for_each(|place| gone[*place] = true);
        let (mut found, mut next) = (Vec::new(), ended.to_vec());
        while let Some(place) = next.pop() {
            for waiter in &self.waiters[place] {
                left[*waiter] -= 1;
                if left[*waiter] == 0 && !gone[*waiter] {
                    gone[*waiter] = true;
                    found.push(*waiter);
                    if !self.keeps[*waiter] {
                        next.push(*waiter);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Of these, as few as have to end so that everybody goes on who does when all of them end.
    pub fn needed(&self, ended: Vec<usize>) -> Vec<usize> {
        let all = self.freed(&ended);
        let mut needed = ended.clone();
        for place in ended {
            let without: Vec<usize> = needed.iter().copied().filter(|other| *other != place).collect();
            let freed = self.freed(&without);
            if all.iter().all(|one| freed.binary_search(one).is_ok()) {
                needed = without;
            }
        }
        needed
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// Who blocks each, by what it holds.
    fn waits(blockers: &[&[usize]]) -> LockWaits {
        let blockers: Vec<Vec<(usize, bool)>> =
            blockers.iter().map(|of_place| of_place.iter().map(|blocker| (*blocker, true)).collect()).collect();
        let mut waiters = vec![Vec::new(); blockers.len()];
        for (place, of_place) in blockers.iter().enumerate() {
            of_place.iter().for_each(|(blocker, _)| waiters[*blocker].push(place));
        }
        LockWaits { keeps: vec![false; blockers.len()], blockers, waiters }
    }

    #[test]
    fn who_keeps_what_it_gets_frees_nobody() {
        // 2 is behind 1 in the queue, and waits for 0 as well.
        let mut waits = waits(&[&[], &[0], &[0, 1]]);
        assert_eq!(waits.freed(&[0]), [1, 2]);
        waits.keeps[1] = true;
        assert_eq!(waits.freed(&[0]), [1]);
        assert_eq!(waits.freed(&[0, 1]), [2]);
    }

    #[test]
    fn who_waits_for_two_goes_on_when_both_have_ended() {
        // 2 waits for 0 and 1, 3 for 2, 4 for 1 alone.
        let waits = waits(&[&[], &[], &[0, 1], &[2], &[1]]);
        assert!(waits.freed(&[0]).is_empty());
        assert_eq!(waits.freed(&[1]), [4]);
        assert_eq!(waits.freed(&[0, 1]), [2, 3, 4]);
        assert_eq!(waits.held_up(&[0], &[false; 5]), [2, 3]);
        assert_eq!(waits.held_up(&[1], &[false, false, true, false, false]), [4]);
    }

    #[test]
    fn only_who_keeps_another_from_going_on_has_to_end() {
        // 0 is a VACUUM, 1 an ALTER, 2 to 4 lock the table one after the other, 5 reads, behind the ALTER.
        let waits = waits(&[&[], &[0], &[0, 1], &[0, 1, 2], &[0, 1, 2, 3], &[1]]);
        assert_eq!(waits.needed(vec![1, 2, 3]), [1]);
        assert!(waits.needed(vec![2, 3]).is_empty());
    }

    #[test]
    fn a_circle_stays_when_who_holds_it_up_has_ended() {
        let waits = waits(&[&[], &[0, 2], &[1]]);
        assert_eq!(waits.held_up(&[0], &[false; 3]), [1, 2]);
        assert!(waits.freed(&[0]).is_empty());
        assert_eq!(waits.freed(&[1]), [2]);
    }
}
