//! A handshake with a real peer, whose datagrams to the server go through the fuzzer's hands.
#![no_main]

mod oracle;

mod dtls;

use dtls::{Choices, Ends};
use kaon_rtc::dtls::DtlsRole;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut choices = Choices(data);
    let mut ends = Ends::new(&mut choices);
    while ends.round(DtlsRole::Server, &mut choices) {}
    ends.finish(DtlsRole::Server);
    cost.assert_live(1 << 20);
    cost.assert_work(data.len());
});
