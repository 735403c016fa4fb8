//! RFC 3711 appendix B, RFC 6188 §7 and RFC 7714 §16 and §17.

use zeroize::Zeroizing;

use super::key_derivation::{KeyDerivation, Label};
use super::packet::{ENCRYPTED, RtpHeader};
use super::session_keys::{GcmKeys, SessionKeys};
use super::tests::{hex, provider};
use super::{MasterKey, SrtpProfile};
use crate::crypto::AeadAlgorithm;

#[test]
fn rfc_3711_key_derivation() {
    let master = MasterKey::new(
        SrtpProfile::Aes128CmHmacSha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .unwrap();
    let derivation = KeyDerivation::new(&provider(), &master).unwrap();
    let key = derivation.derive::<16>(Label::RtpEncryption);
    assert_eq!(*key, *hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(*derivation.derive::<14>(Label::RtpSalt), *hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        *derivation.derive::<94>(Label::RtpAuthentication),
        *hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE\
              E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25\
              6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2")
    );
}

#[test]
fn rfc_6188_key_derivation() {
    // The master key of RFC 6188 §7.4, whose profiles have a salt of 112 bits.
    let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
    let salt = hex("3b04803de51ee7c96423ab5b78d2");
    let derivation = KeyDerivation::from_parts(&provider(), &key, &salt).unwrap();
    assert_eq!(
        *derivation.derive::<32>(Label::RtpEncryption),
        *hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
    );
    assert_eq!(*derivation.derive::<14>(Label::RtpSalt), *hex("fa31791685ca444a9e07c6c64e93"));
    assert_eq!(
        *derivation.derive::<20>(Label::RtpAuthentication),
        *hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
    );
}

#[test]
fn rfc_3711_key_stream() {
    // RFC 3711 appendix B.2: the first blocks for SSRC 0 and index 0.
    let cipher = provider().ciphers.aes_ctr(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let counter = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = [0; 48];
    cipher.apply(&counter, &mut stream);
    assert_eq!(
        stream[..],
        *hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
              41E95B3BB0A2E8DD477901E4FCA894C0")
    );
}

const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361\
                   20696e207061727465732074726573";
const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                    deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

struct GcmVector {
    algorithm: AeadAlgorithm,
    key: &'static str,
    srtp: &'static str,
    srtcp: &'static str,
}

const RFC_7714: [GcmVector; 2] = [
    GcmVector {
        algorithm: AeadAlgorithm::Aes128Gcm,
        key: "000102030405060708090a0b0c0d0e0f",
        srtp: "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b\
               36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        srtcp: "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda\
                4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
    },
    GcmVector {
        algorithm: AeadAlgorithm::Aes256Gcm,
        key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        srtp: "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f\
               1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        srtcp: "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be\
                8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
    },
];

#[test]
fn rfc_7714_packets() {
    for vector in RFC_7714 {
        let key = hex(vector.key);
        let salt = || Zeroizing::new(hex("517569642070726f2071756f").try_into().unwrap());
        let keys = SessionKeys::Gcm(
            GcmKeys::new(&provider(), vector.algorithm, (&key, salt()), (&key, salt())).unwrap(),
        );

        let mut packet = hex(RTP);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!((header.len, header.ssrc, header.sequence_number), (12, 0x5501_a0b2, 0xf17b));
        let index = u64::from(header.sequence_number);
        packet.resize(packet.len() + keys.rtp_overhead(), 0);
        keys.seal_rtp(&mut packet, header.len, header.ssrc, index).unwrap();
        assert_eq!(packet, hex(vector.srtp), "{:?}", vector.algorithm);
        let len = keys.open_rtp(&mut packet, header.len, header.ssrc, index).unwrap();
        assert_eq!(packet[..len], hex(RTP));

        let mut packet = hex(RTCP);
        packet.resize(packet.len() + keys.rtcp_overhead(), 0);
        keys.seal_rtcp(&mut packet, 0x4d61_7273, 0x5d4).unwrap();
        assert_eq!(packet, hex(vector.srtcp), "{:?}", vector.algorithm);
        assert_eq!(keys.rtcp_index_word(&packet), ENCRYPTED | 0x5d4);
        let len = keys.open_rtcp(&mut packet, 0x4d61_7273, 0x5d4).unwrap();
        assert_eq!(packet[..len], hex(RTCP));
    }
}
