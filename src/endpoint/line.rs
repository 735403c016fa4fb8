//! Sessions that wait, first in, first out.

use std::collections::VecDeque;

use super::session_id::SessionId;

/// Sessions that wait, each once. What tells that one waits is its [`Place`]: one that goes away leaves a name behind, which
/// means nothing any more, also when another session of the same name comes.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<(SessionId, u64)>,
    next: u64,
    /// Names without a session.
    gone: usize,
}

/// Where a session waits, if it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Option<u64>);

/// Fewer names are not looked through.
const FEW: usize = 16;

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has a session wait, unless it does already.
    pub(super) fn join(&mut self, id: SessionId, place: &mut Place) {
        if place.0.is_none() {
            place.0 = Some(self.next);
            self.waiting.push_back((id, self.next));
            self.next += 1;
        }
    }

    /// The first name, and the place that its session has, if it is there still.
    pub(super) fn first(&self) -> Option<(SessionId, Place)> {
        self.waiting.front().map(|(id, number)| (*id, Place(Some(*number))))
    }

    /// Takes the first name out.
    pub(super) fn pop(&mut self) -> Option<(SessionId, Place)> {
        self.waiting.pop_front().map(|(id, number)| (id, Place(Some(number))))
    }

    /// Lets the one that was taken out wait on in front.
    pub(super) fn put_back(&mut self, id: SessionId, place: Place) {
        self.waiting.extend(place.0.map(|number| (id, number)));
        self.waiting.rotate_right(usize::from(place.0.is_some()));
    }

    /// A session is gone that had `place`. `has` says which ones are there.
    pub(super) fn leave(&mut self, place: Place, has: impl Fn(SessionId, Place) -> bool) {
        if place.0.is_none() {
            return;
        }
        self.gone += 1;
        // So that the cost of it is the same for each, however many wait.
        if self.gone >= FEW && self.gone * 2 >= self.waiting.len() {
            self.waiting.retain(|(id, number)| has(*id, Place(Some(*number))));
            self.gone = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with a list that is looked through.
        #[test]
        fn each_waits_once_and_in_order(steps in proptest::collection::vec((0u8..4, 0u64..6), 0..400)) {
            let (mut line, mut places) = (Line::default(), BTreeMap::<SessionId, Place>::new());
            let mut model = Vec::new();
            for (what, name) in steps {
                let id = SessionId::new(name);
                match what {
                    0 => {
                        line.join(id, places.entry(id).or_default());
                        if !model.contains(&id) {
                            model.push(id);
                        }
                    }
                    1 => {
                        if let Some(place) = places.remove(&id) {
                            line.leave(place, |id, place| places.get(&id) == Some(&place));
                        }
                        model.retain(|other| *other != id);
                    }
                    _ => {
                        let first = loop {
                            let Some((id, place)) = line.pop() else { break None };
                            if places.get(&id) == Some(&place) {
                                break Some((id, place));
                            }
                        };
                        prop_assert_eq!(first.map(|(id, _)| id), model.first().copied());
                        match first {
                            Some((id, place)) if what == 2 => line.put_back(id, place),
                            Some((id, _)) => {
                                places.insert(id, Place::default());
                                model.remove(0);
                            }
                            None => {}
                        }
                    }
                }
                prop_assert!(line.len() <= 2 * FEW + 2 * model.len());
            }
        }
    }
}
