//! Which connections something has happened to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The connections that are to be polled, so that none is polled in vain however many there are.
#[derive(Debug, Default)]
pub(super) struct Ready {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<usize>,
    /// The task that polls.
    task: Option<Waker>,
}

/// What wakes one connection.
#[derive(Debug)]
pub(super) struct ConnectionWaker {
    place: usize,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This task is woken from now on.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut inner = self.inner();
        if inner.task.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            inner.task = Some(waker.clone());
        }
    }

    /// There is something to report.
    pub(super) fn wake_task(&self) {
        let task = self.inner().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The next connection to poll. Its waker is to be [taken out](ConnectionWaker::leave_queue) before.
    pub(super) fn pop(&self) -> Option<usize> {
        self.inner().queue.pop_front()
    }

    /// How many wait to be polled.
    pub(super) fn len(&self) -> usize {
        self.inner().queue.len()
    }
}

impl ConnectionWaker {
    pub(super) fn new(place: usize, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { place, is_queued: AtomicBool::new(false), ready: ready.clone() })
    }

    /// It is polled now: what happens from now on puts it on the list again.
    pub(super) fn leave_queue(&self) {
        self.is_queued.store(false, Ordering::Release);
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut inner = self.ready.inner();
        inner.queue.push_back(self.place);
        let task = inner.task.clone();
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
    }
}
