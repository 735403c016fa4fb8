use std::net::SocketAddr;

use super::*;
use crate::layer::FiveTuple;

fn path() -> FiveTuple {
    FiveTuple::udp(SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)))
}

/// An INIT with the ports of the default configuration.
fn init() -> Vec<u8> {
    let mut packet = [
        &[0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 9][..],
        &[0, 1, 0, 0, 0, 100, 0, 100, 0, 0, 0, 1],
    ]
    .concat();
    let checksum = crc32c::crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

/// On a runtime that nobody drives: tasks that do not come on.
#[test]
fn tasks_that_do_not_come_on_end_the_association() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = SctpConfig { max_queued_packets: 4, ..SctpConfig::default() };
    let mut association = SctpAssociation::new(config, runtime.handle().clone());
    let mut now = Instant::now();
    for number in 0..6 {
        let outcome = association.handle_datagram(now, Datagram::new(path(), &mut init()));
        assert_eq!(outcome.is_ok(), number < 4, "packet {number}: {outcome:?}");
    }
    assert_eq!(association.dropped(), 2);
    for _ in 0..3 {
        assert_eq!(association.poll_event(), None);
        now += Duration::from_secs(6);
        association.handle_timeout(now);
    }
    let end = SctpEvent::Closed(SctpClose::ProtocolViolation("webrtc-sctp does not come on"));
    assert_eq!(association.poll_event(), Some(end));
    assert_eq!(association.poll_event(), None);
    assert_eq!(association.poll_timeout(), None);
    assert_eq!(
        association.handle_datagram(now, Datagram::new(path(), &mut init())),
        Err(SctpError::Ignored("the association has ended"))
    );
}

#[test]
fn only_an_init_begins_an_association() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut association = SctpAssociation::new(SctpConfig::default(), runtime.handle().clone());
    let now = Instant::now();
    let mut corrupt = init();
    corrupt[20] ^= 1;
    let mut other = init();
    other[12] = 0;
    for mut packet in [corrupt, other, Vec::new(), vec![0; 9000]] {
        let outcome = association.handle_datagram(now, Datagram::new(path(), &mut packet));
        assert!(matches!(outcome, Err(SctpError::Ignored(_))), "{outcome:?}");
        assert_eq!(association.poll_timeout(), None);
    }
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
