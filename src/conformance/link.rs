//! The links that scenarios run on.

use std::time::Duration;

use crate::sim::Link;

pub(super) fn perfect() -> Link {
    Link { delay: Duration::from_millis(5), ..Link::default() }
}

pub(super) fn lossy() -> Link {
    Link { loss: 0.1, ..perfect() }
}

pub(super) fn reordering() -> Link {
    Link { reordering: 0.3, reordering_delay: Duration::from_millis(60), ..perfect() }
}

pub(super) fn duplicating() -> Link {
    Link { duplication: 0.5, ..perfect() }
}

pub(super) fn corrupting() -> Link {
    Link { corruption: 0.1, ..perfect() }
}

pub(super) fn down() -> Link {
    Link { up: false, ..perfect() }
}
