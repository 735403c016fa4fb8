//! The ClientHello of a browser of today: it offers DTLS 1.3 with a hybrid ML-KEM share, and spans two
//! datagrams.

use super::*;
use crate::dtls::handshake::{Fragment, HandshakeHeader, HandshakeType, ServerHello};
use crate::dtls::record::{Epoch, ProtocolVersion};
use crate::dtls::wire::{Reader, put_u16, put_vector8, put_vector16};

fn put_extension(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    put_u16(out, kind);
    put_vector16(out, fill);
}

fn put_list(out: &mut Vec<u8>, numbers: &[u16]) {
    put_vector16(out, |out| numbers.iter().for_each(|number| put_u16(out, *number)));
}

/// Shaped like Firefox's, with the GREASE of Chromium's.
fn hello(versions: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    put_u16(&mut out, 0xfefd);
    out.extend_from_slice(&[0x5c; 32]);
    put_vector8(&mut out, |_| {});
    put_vector8(&mut out, |_| {});
    let suites = [0x3a3a, 0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc00a, 0xc009, 0xc013];
    put_list(&mut out, &suites);
    put_vector8(&mut out, |out| out.push(0));
    put_vector16(&mut out, |out| {
        put_extension(out, 0x8a8a, |_| {});
        put_extension(out, 23, |_| {});
        put_extension(out, 0xff01, |out| out.push(0));
        put_extension(out, 10, |out| put_list(out, &[0x8a8a, 0x11ec, 29, 23, 24, 25]));
        put_extension(out, 11, |out| put_vector8(out, |out| out.push(0)));
        // ALPN with "webrtc" and "c-webrtc".
        put_extension(out, 16, |out| {
            put_vector16(out, |out| {
                for name in [&b"webrtc"[..], b"c-webrtc"] {
                    put_vector8(out, |out| out.extend_from_slice(name));
                }
            });
        });
        put_extension(out, 51, |out| {
            put_vector16(out, |out| {
                for (group, len) in [(0x8a8a, 1), (0x11ec, 1184 + 32), (29, 32), (23, 65)] {
                    put_u16(out, group);
                    put_vector16(out, |out| out.resize(out.len() + len, 4));
                }
            });
        });
        put_extension(out, 43, |out| {
            put_vector8(out, |out| versions.iter().for_each(|version| put_u16(out, *version)));
        });
        put_extension(out, 13, |out| {
            put_list(out, &[0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203]);
        });
        put_extension(out, 14, |out| {
            put_list(out, &[7, 8, 1, 2]);
            out.push(0);
        });
        put_extension(out, 45, |out| put_vector8(out, |out| out.push(1)));
        put_extension(out, 28, |out| put_u16(out, 0x4001));
        put_extension(out, 0xdada, |out| out.push(0));
    });
    out
}

/// The hello in datagrams of at most 1200 bytes, the last one first if `reversed`.
fn datagrams(hello: &[u8], reversed: bool) -> Vec<Vec<u8>> {
    let mut epochs = WriteEpochs::new(SequenceNumber(0));
    let mut datagrams = Vec::new();
    for (i, body) in hello.chunks(1150).enumerate() {
        let header = HandshakeHeader {
            kind: HandshakeType::ClientHello,
            length: hello.len() as u32,
            seq: MessageSeq(0),
            fragment_offset: i as u32 * 1150,
            fragment_length: body.len() as u32,
        };
        let mut datagram = Vec::new();
        epochs
            .write(Epoch::PLAINTEXT, ContentType::Handshake, &mut datagram, |out| {
                header.put(out);
                out.extend_from_slice(body);
            })
            .unwrap();
        datagrams.push(datagram);
    }
    if reversed {
        datagrams.reverse();
    }
    datagrams
}

#[test]
fn it_is_answered_in_1_2() {
    for reversed in [false, true] {
        let mut pair = Pair::new(|_, _| {});
        let datagrams = datagrams(&hello(&[0x3a3a, 0xfefc, 0xfefd]), reversed);
        assert_eq!(datagrams.len(), 2);
        datagrams.into_iter().for_each(|datagram| pair.give(DtlsRole::Client, datagram).unwrap());
        let mut answer = pair.take(DtlsRole::Server).remove(0);
        let (record, _) = Record::split(&mut answer).unwrap();
        assert_eq!(record.version, ProtocolVersion::DTLS_1_2);
        let fragment = Fragment::read(&mut Reader::new(record.fragment)).unwrap();
        let hello = ServerHello::decode(fragment.body).unwrap();
        assert_eq!(hello.version, ProtocolVersion::DTLS_1_2);
        assert_eq!(hello.suite, CipherSuite::EcdheEcdsaAes128GcmSha256.id());
        assert!(hello.extensions.extended_master_secret && !hello.extensions.unsolicited);
        assert!(hello.extensions.use_srtp.unwrap().profiles.contains(7));
    }
}

#[test]
fn the_list_of_versions_counts() {
    // Only 1.3, although the old field says 1.2.
    let mut pair = Pair::new(|_, _| {});
    for datagram in datagrams(&hello(&[0xfefc]), false) {
        pair.give(DtlsRole::Client, datagram).ok();
    }
    let [DtlsEvent::Failed(DtlsError::Handshake { alert: "protocol_version", .. })] =
        &events(&mut pair.server)[..]
    else {
        panic!();
    };
}
