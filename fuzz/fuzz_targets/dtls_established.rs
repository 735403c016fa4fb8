//! An established connection: records that are changed, replayed, reordered and forged. Only what was sent is
//! ever delivered, and each of it once.
#![no_main]

mod oracle;

mod dtls;

use std::collections::HashSet;

use dtls::{Choices, Ends, path};
use kaon_rtc::dtls::{DtlsEvent, DtlsRole, DtlsTransport};
use kaon_rtc::layer::{Datagram, Layer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut choices = Choices(data);
    let mut ends = Ends::new(&mut choices);
    while ends.round(DtlsRole::Server, &mut Choices(&[])) {}
    assert!(ends.client.is_connected() && ends.server.is_connected());
    while ends.server.poll_event().is_some() {}

    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut delivered = HashSet::new();
    while !choices.is_empty() && !ends.server.is_ended() {
        let mut record = match choices.byte() % 4 {
            0 => {
                let mut record = Vec::new();
                let number = (sent.len() as u32).to_be_bytes();
                ends.client.seal(&number, &mut record).expect("an established connection seals");
                sent.push(record.clone());
                record
            }
            // One of those before: again, or changed.
            1 => match sent.get(usize::from(choices.byte())) {
                Some(record) => record.clone(),
                None => continue,
            },
            2 => match sent.get(usize::from(choices.byte())) {
                Some(record) => {
                    let mut record = record.clone();
                    let at = usize::from(choices.byte()) % record.len();
                    record[at] ^= choices.byte().max(1);
                    record
                }
                None => continue,
            },
            _ => choices.bytes().to_vec(),
        };
        let mut deliver = |data: &mut [u8]| {
            let number: [u8; 4] = (&*data).try_into().expect("data that was sent");
            assert!((u32::from_be_bytes(number) as usize) < sent.len());
            assert!(delivered.insert(number), "delivered twice");
        };
        let now = ends.now;
        ends.server.receive(now, Datagram::new(path(), &mut record), &mut deliver).ok();
        assert!(ends.server.is_connected(), "only the peer's keys end a connection");
    }
    while let Some(event) = ends.server.poll_event() {
        assert!(!matches!(event, DtlsEvent::Failed(_)));
    }
    cost.assert_live(1 << 20);
    cost.assert_work(data.len());
});
