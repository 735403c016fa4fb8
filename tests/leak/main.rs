//! Connect, use, close, again and again: nothing may be left of a connection.

#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kaon_rtc::peer_connection::{
    Description, PeerConnection, PeerConnectionEvent, TrackKind, TransceiverInit,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

struct Counting;

static IN_USE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        IN_USE.fetch_add(new_size as isize - layout.size() as isize, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONG: Duration = Duration::from_secs(20);
/// Cycles until every table of the process and of the runtime has its size.
const WARM: usize = 20;
/// What may be left of all cycles together: a table of the runtime that grew late.
const MAX_GROWTH: isize = 64 << 10;

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Both sides close.
    Close,
    /// One side closes, and the other is told.
    CloseByPeer,
    /// All handles are dropped.
    Drop,
    /// Before it has come to be.
    Early,
}

async fn cycle(end: End) {
    let build = || async { PeerConnection::builder().loopback(true).build().await.unwrap() };
    let (alice, bob) = (build().await, build().await);
    let chat = alice.create_data_channel("chat").unwrap();
    let _track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    let offer = alice.local_description().unwrap();
    bob.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
    if matches!(end, End::Early) {
        return;
    }
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    let answer = bob.local_description().unwrap();
    alice.set_remote_description(&Description::answer(&answer.text()).unwrap()).unwrap();
    let there = loop {
        if let Some(PeerConnectionEvent::DataChannel(channel)) =
            timeout(LONG, bob.next_event()).await.unwrap()
        {
            break channel;
        }
    };
    chat.send_text("hello").await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some("hello"));
    match end {
        End::Close => {
            alice.close();
            bob.close();
        }
        End::CloseByPeer => {
            alice.close();
            assert_eq!(timeout(LONG, there.recv()).await.unwrap(), None);
        }
        End::Drop | End::Early => {}
    }
}

/// Waits until the tasks of ended connections are gone.
async fn settle(tasks: usize) {
    let metrics = Handle::current().metrics();
    let gone = async {
        while metrics.num_alive_tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, gone).await.unwrap_or_else(|_| {
        panic!("{} tasks are left of {tasks}", metrics.num_alive_tasks());
    });
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count())
}

fn run(cycles: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ends = [End::Close, End::CloseByPeer, End::Drop, End::Early];
        let tasks = Handle::current().metrics().num_alive_tasks();
        for number in 0..WARM {
            cycle(ends[number % ends.len()]).await;
            settle(tasks).await;
        }
        let (heap, files) = (IN_USE.load(Ordering::Relaxed), open_files());
        for number in 0..cycles {
            cycle(ends[number % ends.len()]).await;
            settle(tasks).await;
            assert_eq!(open_files(), files, "sockets after cycle {number}");
        }
        let growth = IN_USE.load(Ordering::Relaxed) - heap;
        println!("{cycles} cycles: the heap grew by {growth} bytes");
        assert!(growth < MAX_GROWTH, "{growth} bytes are left of {cycles} cycles");
    });
}

/// The counts are of the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn two_thousand_connections_leave_nothing_behind() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    run(2000);
}

/// Runtimes that end while their connections connect take all of it along.
#[test]
fn runtimes_that_end_early_leave_nothing_behind() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let end_early = |round: u64| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let build = || async { PeerConnection::builder().loopback(true).build().await.unwrap() };
            let (alice, bob) = (build().await, build().await);
            let _chat = alice.create_data_channel("chat").unwrap();
            alice.set_local_description(None).unwrap();
            alice.gathering_complete().await;
            let offer = alice.local_description().unwrap();
            bob.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
            bob.set_local_description(None).unwrap();
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
        });
    };
    (0..WARM as u64).for_each(end_early);
    let (heap, files) = (IN_USE.load(Ordering::Relaxed), open_files());
    (0..200).for_each(end_early);
    let growth = IN_USE.load(Ordering::Relaxed) - heap;
    println!("200 runtimes: the heap grew by {growth} bytes");
    assert_eq!(open_files(), files);
    assert!(growth < MAX_GROWTH, "{growth} bytes are left of 200 runtimes");
}
