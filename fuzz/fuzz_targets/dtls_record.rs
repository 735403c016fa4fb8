//! Raw datagrams into a fresh client, a fresh server, and a listener.
#![no_main]

mod dtls;

use std::sync::Arc;

use dtls::{Choices, Ends, config, path};
use kaon_rtc::dtls::{DtlsRole, Listener, ListenerConfig, PeerVerification};
use kaon_rtc::layer::{Datagram, Layer, TransmitBatch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let mut ends = Ends::new(&mut choices);
    let mut listener =
        Listener::new(Arc::new(config(1)), PeerVerification::AcceptAny, ListenerConfig::default())
            .expect("a listener");
    let mut batch = TransmitBatch::new(1200);
    ends.client.poll_transmit(ends.now, &mut batch);
    while !choices.is_empty() {
        let datagram = choices.bytes();
        ends.give(DtlsRole::Client, datagram.to_vec());
        ends.give(DtlsRole::Server, datagram.to_vec());
        let mut copy = datagram.to_vec();
        listener.handle_datagram(ends.now, Datagram::new(path(), &mut copy)).ok();
        assert!(listener.is_empty(), "nobody guesses a cookie");
    }
    ends.finish(DtlsRole::Server);
});
