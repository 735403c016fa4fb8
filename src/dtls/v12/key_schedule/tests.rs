use super::*;
use crate::dtls::test_provider::provider;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |d: u8| char::from(d).to_digit(16).unwrap() as u8;
    hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn check(hash: HashAlgorithm, secret: &str, label: &str, seed: &str, expected: &str) {
    let expected = bytes(expected);
    let (seed, mut out) = (bytes(seed), vec![0; expected.len()]);
    // In two parts: how a seed is cut does not matter.
    let (head, tail) = seed.split_at(5);
    prf(&*provider(1).digests, hash, &bytes(secret), label, &[head, tail], &mut out);
    assert_eq!(out, expected);
}

/// The vectors that the TLS working group published for P_SHA256 and P_SHA384.
#[test]
fn prf_vectors() {
    check(
        HashAlgorithm::Sha256,
        "9bbe436ba940f017b17652849a71db35",
        "test label",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af
         0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
         87347b66",
    );
    check(
        HashAlgorithm::Sha384,
        "b80b733d6ceefcdc71566ea48e5567df",
        "test label",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0
         e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425
         9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e099070
         3d73e56f",
    );
}

/// RFC 7627 §4, with the value that OpenSSL's TLS1-PRF gives.
#[test]
fn extended_master_secret() {
    let provider = provider(1);
    let suite = CipherSuite::EcdheEcdsaAes128GcmSha256;
    let premaster = SharedSecret::new(&[0x0b; 32]);
    let secret = MasterSecret::extended(&*provider.digests, suite, &premaster, &[0xa5; 32]);
    let expected = "c302f3dbe7f87ef4f22cc0913d2e3eb6974a0eaf1b9e9601ac7b93296fa628c4fc606aadfc440719817264
                    3329f9d90a";
    assert_eq!(secret.bytes[..], bytes(expected));
}

/// RFC 5705 §4, with the values that OpenSSL's TLS1-PRF gives.
#[test]
fn exported_keying_material() {
    let provider = provider(1);
    let suite = CipherSuite::EcdheEcdsaChaCha20Poly1305Sha256;
    let master_secret = MasterSecret { bytes: Zeroizing::new([0x0c; 48]), suite };
    let exporter = master_secret.into_exporter(Random([1; 32]), Random([2; 32]));
    let export = |label, context: Option<&[u8]>| {
        let mut out = [0; 40];
        exporter.export(&*provider.digests, label, context, &mut out).map(|()| out.to_vec())
    };
    let with_context = "901a89d9a946c360331a4fda71fa49d0b3d50af4ced064f9795aab2cdf9b820ce688f1393d1a3266";
    assert_eq!(export("EXPERIMENTAL", Some(b"abc")), Ok(bytes(with_context)));
    let without = "be8fe53f870652c542328928527f0d70e049a67e69809d4aa69b28683925ae701446f6a41addbda2";
    assert_eq!(export("EXPERIMENTAL", None), Ok(bytes(without)));
    assert_ne!(export("EXPERIMENTAL", Some(b"")), export("EXPERIMENTAL", None), "RFC 5705 §4");
    assert!(matches!(export("key expansion", None), Err(DtlsError::Config(_))));
    assert!(matches!(export("EXPERIMENTAL", Some(&[0; 65536])), Err(DtlsError::Config(_))));
}
