//! What a target may cost: live heap, bytes allocated in all, and processor time. A target that has
//! `mod oracle;` counts its allocations.

#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        TOTAL.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_add(new_size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        TOTAL.fetch_add(new_size, Relaxed);
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Watches what happens from its making on.
pub struct Oracle {
    live: usize,
    total: usize,
    processor: u64,
}

impl Oracle {
    pub fn new() -> Self {
        Self { live: LIVE.load(Relaxed), total: TOTAL.load(Relaxed), processor: processor_time() }
    }

    /// Bytes of heap held more than at the beginning.
    pub fn live(&self) -> usize {
        LIVE.load(Relaxed).saturating_sub(self.live)
    }

    /// No more than `limit` bytes of heap are held.
    pub fn assert_live(&self, limit: usize) {
        assert!(self.live() <= limit, "{} bytes of heap are live, and {limit} allowed", self.live());
    }

    /// The work for an input of so many bytes is bounded by them: what was allocated in all, and the time on the
    /// processor, generously, since sanitizers and other processes take their share of both.
    pub fn assert_work(&self, bytes: usize) {
        let allocated = TOTAL.load(Relaxed) - self.total;
        assert!(allocated <= (64 << 20) + bytes * (64 << 10), "{allocated} bytes allocated for {bytes}");
        let time = processor_time().saturating_sub(self.processor);
        assert!(time <= 2_000_000_000 + bytes as u64 * 1_000_000, "{time} ns of processor time for {bytes}");
    }
}

/// Nanoseconds that this thread has run; zero where the system does not tell.
fn processor_time() -> u64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedule.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
}
