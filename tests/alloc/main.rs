//! Paths that must not allocate, and what idle layers hold, counted.

#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "session")]
mod endpoint;
#[cfg(feature = "ice")]
mod ice;
#[cfg(feature = "media")]
mod media;
#[cfg(all(feature = "rtp", feature = "rtcp"))]
mod rtp;
#[cfg(feature = "datachannel")]
mod sctp;
#[cfg(feature = "session")]
mod session;
#[cfg(feature = "srtp")]
mod srtp;
#[cfg(feature = "net")]
mod streams;
#[cfg(feature = "stun")]
mod stun;
#[cfg(feature = "peer-connection")]
mod track;
#[cfg(feature = "turn")]
mod turn;
#[cfg(feature = "turn-server")]
mod turn_server;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

fn count(allocations: usize, bytes: isize) {
    ALLOCATIONS.with(|count| count.set(count.get() + allocations));
    IN_USE.with(|count| count.set(count.get() + bytes));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, new_size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` makes on this thread.
pub(crate) fn count_allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// How many bytes of heap what `make` returns holds; all must be made and kept on this thread.
pub(crate) fn heap_held<T>(make: impl FnOnce() -> T) -> (T, isize) {
    let before = IN_USE.with(Cell::get);
    let made = make();
    (made, IN_USE.with(Cell::get) - before)
}

#[test]
fn allocations_are_counted() {
    assert_eq!(count_allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    let (made, held) = heap_held(|| vec![0u8; 100]);
    assert_eq!(held, 100);
    drop(made);
}
