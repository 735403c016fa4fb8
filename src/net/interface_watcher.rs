//! Addresses that come and go.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::runtime::io_on_runtime;
use super::{InterfaceAddress, InterfaceFilter, interfaces};

/// Tells when addresses of this machine come and go, so that ICE can gather again.
///
/// It asks the system every few seconds, which costs some tens of microseconds, and at once when the kernel says that
/// something has changed, as that of Linux does.
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
    #[cfg(any(target_os = "linux", target_os = "android"))]
    notices: Option<super::address_notices::AddressNotices>,
}

impl InterfaceWatcher {
    /// How often the system is asked unless told otherwise.
    pub const DEFAULT_PERIOD: Duration = Duration::from_secs(3);

    /// A watcher that knows the addresses of this moment and asks every `period`, at least one millisecond.
    ///
    /// # Errors
    /// What the system says when asked for its interfaces, also for a period so long that time ends before.
    pub fn new(filter: InterfaceFilter, period: Duration) -> io::Result<Self> {
        let watcher = Self::over(Box::new(move || interfaces(&filter)), period)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let watcher = {
            let notices = super::address_notices::AddressNotices::new();
            let notices = notices.inspect_err(|error| tracing::debug!(%error, "no notices of addresses"));
            Self { notices: notices.ok(), ..watcher }
        };
        Ok(watcher)
    }

    /// Whether the system tells of changes at once.
    pub fn is_notified(&self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let is_notified = self.notices.is_some();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let is_notified = false;
        is_notified
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn tick(&mut self) {
        let Some(notices) = &self.notices else {
            self.interval.tick().await;
            return;
        };
        let lost = tokio::select! {
            _ = self.interval.tick() => false,
            notice = notices.next() => notice.is_err(),
        };
        if lost {
            self.notices = None;
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    async fn tick(&mut self) {
        self.interval.tick().await;
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
        Ok(Self {
            list,
            interval,
            known,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            notices: None,
        })
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
            self.tick().await;
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    #[ignore = "it gives the loopback interface of this machine another address, as root"]
    async fn linux_tells_of_a_change_at_once() {
        let address = |verb| {
            let mut ip = std::process::Command::new("ip");
            let ran = ip.args(["address", verb, "127.99.0.1/32", "dev", "lo"]).status();
            assert!(ran.unwrap().success());
        };
        let mut filter = InterfaceFilter::default();
        filter.loopback = true;
        let mut watcher = InterfaceWatcher::new(filter, Duration::from_secs(3600)).unwrap();
        assert!(watcher.is_notified());
        address("add");
        assert_eq!(watcher.changed().await.unwrap().added.len(), 1);
        address("del");
        assert_eq!(watcher.changed().await.unwrap().removed.len(), 1);
    }
}
