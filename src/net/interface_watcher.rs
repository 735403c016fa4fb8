//! Addresses that come and go.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::runtime::io_on_runtime;
use super::{InterfaceAddress, InterfaceFilter, interfaces};

/// Tells when addresses of this machine come and go, so that ICE can gather again.
///
/// It asks the system every few seconds; asking costs some tens of microseconds.
///
/// ```
/// use kaon_rtc::net::{InterfaceFilter, InterfaceWatcher};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let watcher = InterfaceWatcher::new(InterfaceFilter::default(), InterfaceWatcher::DEFAULT_PERIOD)?;
/// for address in watcher.addresses() {
///     println!("{} on {}", address.ip, address.interface);
/// }
/// # Ok::<(), std::io::Error>(()) })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct InterfaceWatcher {
    list: Box<dyn FnMut() -> io::Result<Vec<InterfaceAddress>> + Send>,
    interval: Interval,
    known: Vec<InterfaceAddress>,
}

impl InterfaceWatcher {
    /// How often the system is asked unless told otherwise.
    pub const DEFAULT_PERIOD: Duration = Duration::from_secs(3);

    /// A watcher that knows the addresses of this moment and asks every `period`, at least one millisecond.
    ///
    /// # Errors
    /// What the system says when asked for its interfaces, also for a period so long that time ends before.
    pub fn new(filter: InterfaceFilter, period: Duration) -> io::Result<Self> {
        Self::over(Box::new(move || interfaces(&filter)), period)
    }

    fn over(
        mut list: Box<dyn FnMut() -> io::Result<Vec<InterfaceAddress>> + Send>,
        period: Duration,
    ) -> io::Result<Self> {
        let period = period.max(Duration::from_millis(1));
        let first = Instant::now().checked_add(period).ok_or(io::ErrorKind::InvalidInput)?;
        let known = list()?;
        let mut interval = io_on_runtime(|| tokio::time::interval_at(first, period))?;
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { list, interval, known })
    }

    /// The addresses as they were last seen.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        &self.known
    }

    /// Waits until addresses came or went.
    ///
    /// Cancel safe: a change that a dropped future did not tell is told by the next.
    ///
    /// # Errors
    /// What the system says when asked for its interfaces; asking again is fine.
    pub async fn changed(&mut self) -> io::Result<InterfaceChange> {
        loop {
            self.interval.tick().await;
            let now = (self.list)()?;
            let without = |these: &[InterfaceAddress], those: &[InterfaceAddress]| {
                these.iter().filter(|address| !those.contains(address)).cloned().collect::<Vec<_>>()
            };
            let change =
                InterfaceChange { added: without(&now, &self.known), removed: without(&self.known, &now) };
            self.known = now;
            if !change.added.is_empty() || !change.removed.is_empty() {
                return Ok(change);
            }
        }
    }
}

impl fmt::Debug for InterfaceWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterfaceWatcher")
            .field("period", &self.interval.period())
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// What changed between two looks at the interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceChange {
    /// Addresses that are new. One whose kind of use changed, such as by becoming deprecated, is gone and new.
    pub added: Vec<InterfaceAddress>,
    /// Addresses that are gone.
    pub removed: Vec<InterfaceAddress>,
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::net::tests::run;

    #[test]
    fn what_came_and_went_is_told_once() {
        run(async {
            let mut loopback = InterfaceFilter::default();
            loopback.loopback = true;
            let lo = interfaces(&loopback).unwrap().remove(0);
            let other = InterfaceAddress { ip: [192, 0, 2, 77].into(), ..lo.clone() };
            let mut looks: VecDeque<_> = [
                Ok(vec![lo.clone()]),
                Ok(vec![lo.clone()]),
                Ok(vec![lo.clone(), other.clone()]),
                Err(io::ErrorKind::OutOfMemory.into()),
                Ok(vec![lo.clone(), other.clone()]),
                Ok(vec![other.clone()]),
            ]
            .into();
            let list = move || looks.pop_front().expect("no more looks than changes need");
            let mut watcher = InterfaceWatcher::over(Box::new(list), Duration::from_millis(1)).unwrap();
            assert_eq!(watcher.addresses(), std::slice::from_ref(&lo));
            let change = watcher.changed().await.unwrap();
            assert_eq!(change, InterfaceChange { added: vec![other.clone()], removed: vec![] });
            assert_eq!(watcher.changed().await.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
            let change = watcher.changed().await.unwrap();
            assert_eq!(change, InterfaceChange { added: vec![], removed: vec![lo] });
            assert_eq!(watcher.addresses(), [other]);
        });
    }
}
