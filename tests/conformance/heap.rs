use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kaon_rtc::conformance::Heap;

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free and allocate after its variables are gone.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        IN_USE.fetch_add(new_size, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        count();
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static RUNNING: RwLock<()> = RwLock::new(());

/// The heap of this process, for one test at a time.
pub(crate) struct Watched(
    #[expect(dead_code, reason = "held so that no other test runs")] RwLockWriteGuard<'static, ()>,
);

/// Keeps tests that watch the heap from running.
pub(crate) fn unwatched() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self(RUNNING.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Heap for Watched {
    fn in_use(&self) -> usize {
        IN_USE.load(Ordering::Relaxed)
    }

    fn allocations(&self) -> u64 {
        ALLOCATIONS.with(Cell::get)
    }
}
