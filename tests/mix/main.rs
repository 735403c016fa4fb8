//! Layers of several makes in one connection: each combination of this library's and the webrtc-rs crates'
//! against a peer that is all of this library's, over loopback, with data and video.

#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod foreign;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foreign::Foreign;
use kaon_rtc::layer::RtpTimestamp;
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

async fn negotiate(offerer: &PeerConnection, answerer: &PeerConnection) {
    offerer.set_local_description(None).unwrap();
    offerer.gathering_complete().await;
    let offer = offerer.local_description().unwrap();
    answerer.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
    answerer.set_local_description(None).unwrap();
    answerer.gathering_complete().await;
    let answer = answerer.local_description().unwrap();
    offerer.set_remote_description(&Description::answer(&answer.text()).unwrap()).unwrap();
}

fn vp8_frame(is_key: bool, number: u8, len: usize) -> Vec<u8> {
    let head = [u8::from(!is_key), 1, 1, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    head.into_iter().chain(std::iter::repeat_n(number, len)).collect()
}

/// `foreign` are the layers of the offerer, or of the answerer.
async fn data_and_video(foreign: Foreign, offers: bool) {
    let mixed = PeerConnection::builder().loopback(true).transports(foreign.transports()).build();
    let native = PeerConnection::builder().loopback(true).build();
    let (mixed, native) = (mixed.await.unwrap(), native.await.unwrap());
    let (alice, bob) = if offers { (mixed, native) } else { (native, mixed) };
    let chat = alice.create_data_channel("chat").unwrap();
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    negotiate(&alice, &bob).await;
    let (mut there, mut remote) = (None, None);
    while there.is_none() || remote.is_none() {
        match timeout(LONG, bob.next_event()).await.unwrap().unwrap() {
            PeerConnectionEvent::DataChannel(channel) => there = Some(channel),
            PeerConnectionEvent::Track(track) => remote = Some(track),
            _ => {}
        }
    }
    let (there, remote) = (there.unwrap(), remote.unwrap());

    for size in [1, 1000, 60_000] {
        let message = Bytes::from(vec![size as u8; size]);
        chat.send(message.clone()).await.unwrap();
        assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().into_data(), message);
        there.send(message.clone()).await.unwrap();
        assert_eq!(timeout(LONG, chat.recv()).await.unwrap().unwrap().into_data(), message);
    }
    chat.send_text("").await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some(""));

    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let mut received = remote.frames();
    let mut sender = track.frames(&track.codec("VP8").unwrap()).unwrap();
    for number in 0..20u8 {
        let frame = vp8_frame(number % 10 == 0, number, 20 + usize::from(number) * 300);
        sender.send(&frame, RtpTimestamp(u32::from(number) * 3000)).unwrap();
        let there = timeout(LONG, received.recv()).await.unwrap().unwrap();
        assert!(there.data == frame, "frame {number}");
    }
    alice.close();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap(), None);
    assert_eq!(timeout(LONG, received.recv()).await.unwrap(), None);
}

async fn settle(tasks: usize) {
    let metrics = Handle::current().metrics();
    let gone = async {
        while metrics.num_alive_tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, gone).await.unwrap_or_else(|_| panic!("{} tasks are left", metrics.num_alive_tasks()));
}

async fn every_combination() {
    for foreign in Foreign::combinations() {
        for offers in [false, true] {
            let run = timeout(LONG, data_and_video(foreign, offers)).await;
            run.unwrap_or_else(|_| panic!("{foreign:?}, offers: {offers}"));
        }
    }
}

/// One test, so that nothing else is on the heap.
#[tokio::test]
async fn every_combination_carries_data_and_video_and_leaves_nothing_behind() {
    /// Connections of the crates, half of which offer.
    const CYCLES: usize = 500;
    /// What may be left of all cycles together: a table of the runtime that grew late.
    const MAX_GROWTH: isize = 64 << 10;
    let tasks = Handle::current().metrics().num_alive_tasks();
    every_combination().await;
    settle(tasks).await;
    let foreign = Foreign::combinations().last().unwrap();
    for number in 0..20 {
        data_and_video(foreign, number % 2 == 0).await;
        settle(tasks).await;
    }
    let heap = IN_USE.load(Ordering::Relaxed);
    for number in 0..CYCLES {
        data_and_video(foreign, number % 2 == 0).await;
        settle(tasks).await;
    }
    let growth = IN_USE.load(Ordering::Relaxed) - heap;
    println!("{CYCLES} cycles: the heap grew by {growth} bytes");
    assert!(growth < MAX_GROWTH, "{growth} bytes are left of {CYCLES} cycles");
}
