//! What was used longest ago.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Finds the key that was used longest ago, without work at each use: the time of its last use stays with what the key
/// names, and is only asked for when a place is needed.
///
/// Keys that were used since they were put here last are put behind; each use pays for one such step at most.
#[derive(Clone, Debug)]
pub(crate) struct Recency<K, T> {
    /// By a time that is not after the last use.
    order: BinaryHeap<Reverse<(T, K)>>,
}

impl<K: Ord + Copy, T: Ord + Copy> Recency<K, T> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new() }
    }

    /// A key is new, and `live` keys are there with it.
    pub(crate) fn insert(&mut self, key: K, used: T, live: usize, last_use: impl Fn(&K) -> Option<T>) {
        // Keys that were removed in the meantime are still here.
        if self.order.len() >= 2 * live + 16 {
            let all = std::mem::take(&mut self.order);
            let mut keys: Vec<_> = all.into_iter().map(|Reverse((_, key))| key).collect();
            keys.sort_unstable();
            keys.dedup();
            self.order = keys.into_iter().filter_map(|key| Some(Reverse((last_use(&key)?, key)))).collect();
        }
        self.order.push(Reverse((used, key)));
    }

    /// Takes out the key that was used longest ago. `last_use` is `None` for a key that is gone.
    pub(crate) fn take_oldest(&mut self, last_use: impl Fn(&K) -> Option<T>) -> Option<K> {
        loop {
            let Reverse((noted, key)) = self.order.pop()?;
            match last_use(&key) {
                Some(used) if used > noted => self.order.push(Reverse((used, key))),
                Some(_) => return Some(key),
                None => {}
            }
        }
    }
}

impl<K: Ord + Copy, T: Ord + Copy> Default for Recency<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_oldest_is_the_one_that_a_list_of_all_uses_names(steps in prop::collection::vec((0u8..3, 0u8..20), 1..400)) {
            let mut recency = Recency::new();
            let mut used: BTreeMap<u8, usize> = BTreeMap::new();
            for (time, (step, key)) in steps.into_iter().enumerate() {
                match step {
                    0 if used.contains_key(&key) => drop(used.insert(key, time)),
                    0 => {
                        used.insert(key, time);
                        recency.insert(key, time, used.len(), |key| used.get(key).copied());
                    }
                    1 => drop(used.remove(&key)),
                    _ => {
                        let expected = used.iter().min_by_key(|(_, time)| **time).map(|(key, _)| *key);
                        let oldest = recency.take_oldest(|key| used.get(key).copied());
                        prop_assert_eq!(oldest, expected);
                        oldest.map(|oldest| used.remove(&oldest));
                    }
                }
                prop_assert!(recency.order.len() <= 2 * 20 + 17);
            }
        }
    }
}
