//! Heap bytes of an idle SCTP association, and allocations per packet of a busy one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn carry(now: Instant, from: &mut Association, to: &mut Association, batch: &mut TransmitBatch) -> usize {
    let path = FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let mut carried = 0;
    while let Some(transmit) = from.poll_transmit(now, batch) {
        for datagram in batch.datagrams_mut(&transmit) {
            carried += 1;
            to.handle_datagram(now, Datagram::new(path, datagram)).expect("a sound packet");
        }
        batch.clear();
    }
    carried
}

fn main() {
    let now = Instant::now();
    let provider = aws_lc_rs::provider();
    let mut batch = TransmitBatch::new(1200);
    let mut pairs: Vec<(Association, Association)> = Vec::with_capacity(101);
    // The first warms up what the libraries keep for good.
    let mut before = 0;
    for index in 0..101 {
        if index == 1 {
            before = HELD.load(Ordering::Relaxed);
        }
        let mut client = Association::new(Config::default(), &provider);
        let mut server = Association::new(Config::default(), &provider);
        client.connect(now);
        while carry(now, &mut client, &mut server, &mut batch)
            + carry(now, &mut server, &mut client, &mut batch)
            > 0
        {}
        assert!(client.is_established() && server.is_established());
        while client.poll_event().is_some() || server.poll_event().is_some() {}
        pairs.push((client, server));
    }
    let heap = (HELD.load(Ordering::Relaxed) - before) / 200;
    println!("idle association: {heap} bytes of heap, {} in the value itself", size_of::<Association>());

    // An INIT leaves nothing behind but the one answer that waits.
    let mut listener = Association::new(Config::default(), &provider);
    let mut inits: Vec<Vec<u8>> = (0..1000)
        .map(|_| {
            let mut stranger = Association::new(Config::default(), &provider);
            stranger.connect(now);
            batch.clear();
            let transmit = stranger.poll_transmit(now, &mut batch).expect("an INIT");
            batch.bytes(&transmit).to_vec()
        })
        .collect();
    let path = FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for init in &mut inits {
        listener.handle_datagram(now, Datagram::new(path, init)).expect("a sound INIT");
    }
    println!("1000 INITs: {} allocations", ALLOCATIONS.load(Ordering::Relaxed) - before);
    batch.clear();

    let (client, server) = &mut pairs[0];
    for size in [1150, 64 << 10] {
        let message = Bytes::from(vec![7; size]);
        let mut transfer = |bytes: usize| {
            let mut packets = 0;
            for _ in 0..bytes / (16 * size) {
                for _ in 0..16 {
                    client
                        .send(
                            now,
                            StreamId(0),
                            PayloadProtocol::BINARY,
                            message.clone(),
                            SendOptions::default(),
                        )
                        .expect("room in the send buffer");
                }
                loop {
                    let moved = carry(now, client, server, &mut batch);
                    let back = carry(now, server, client, &mut batch);
                    while server.receive().is_some() {}
                    while client.poll_event().is_some() || server.poll_event().is_some() {}
                    packets += moved;
                    if moved + back == 0 {
                        break;
                    }
                }
            }
            packets
        };
        transfer(32 << 20);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let bytes = 32 << 20;
        let packets = transfer(bytes);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let messages = bytes / (16 * size) * 16;
        println!(
            "{size}-byte messages: {allocations} allocations for {messages} messages in {packets} packets"
        );
    }
}
