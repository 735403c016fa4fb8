//! One suite of published vectors and negative cases, run over every provider that is compiled in.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// RFC 8439 §2.8.2, and test cases 4 and 16 of the GCM specification.
fn aead(provider: &CryptoProvider) {
    let gcm_plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    let gcm_aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let cases = [
        (
            AeadAlgorithm::Aes128Gcm,
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            gcm_aad,
            hex(gcm_plaintext),
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091\
             5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            AeadAlgorithm::Aes256Gcm,
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            gcm_aad,
            hex(gcm_plaintext),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b",
        ),
        (
            AeadAlgorithm::ChaCha20Poly1305,
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "070000004041424344454647",
            "50515253c0c1c2c3c4c5c6c7",
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
              sunscreen would be it."
                .to_vec(),
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
        ),
    ];
    for (algorithm, key, nonce, aad, plaintext, sealed) in cases {
        let (key, nonce, aad, sealed) = (hex(key), hex(nonce).try_into().unwrap(), hex(aad), hex(sealed));
        let cipher = provider.ciphers.aead(algorithm, &key).unwrap();
        let mut buffer = plaintext.clone();
        let tag = cipher.seal(&nonce, &aad, &mut buffer).unwrap();
        buffer.extend_from_slice(&tag);
        assert_eq!(buffer, sealed, "{algorithm:?}");
        assert_eq!(cipher.open(&nonce, &aad, &mut buffer).unwrap(), plaintext);

        for at in [0, sealed.len() - 1] {
            let mut tampered = sealed.clone();
            tampered[at] ^= 1;
            assert_eq!(cipher.open(&nonce, &aad, &mut tampered), Err(CryptoError::Authentication));
        }
        assert_eq!(cipher.open(&nonce, &[], &mut sealed.clone()), Err(CryptoError::Authentication));
        assert_eq!(cipher.open(&nonce, &aad, &mut [0; TAG_LEN - 1]), Err(CryptoError::Authentication));
        assert!(provider.ciphers.aead(algorithm, &key[1..]).is_err());
    }
}

/// NIST SP 800-38A F.5.1 and F.5.5.
fn counter_mode(provider: &CryptoProvider) {
    let counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    let plaintext = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    for (key, ciphertext) in [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
        ),
    ] {
        let cipher = provider.ciphers.aes_ctr(&hex(key)).unwrap();
        let mut buffer = plaintext.clone();
        cipher.apply(&counter, &mut buffer);
        assert_eq!(buffer, hex(ciphertext));
        cipher.apply(&counter, &mut buffer);
        assert_eq!(buffer, plaintext);
    }
    assert!(provider.ciphers.aes_ctr(&[0; 17]).is_err());
}

/// FIPS 180-2 appendix A to C, and the test suite of RFC 1321: "abc".
fn hashes(provider: &CryptoProvider) {
    for (algorithm, digest) in [
        (HashAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            HashAlgorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            HashAlgorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        assert_eq!(&*provider.digests.hash(algorithm, &[b"a", b"", b"bc"]), hex(digest));
        let mut hasher = provider.digests.hasher(algorithm);
        hasher.update(b"a");
        assert_ne!(&*hasher.digest(), hex(digest));
        hasher.update(b"bc");
        assert_eq!(&*hasher.digest(), hex(digest), "a hash goes on after it was read");
        assert_eq!(hasher.digest().len(), algorithm.digest_len());
    }
}

/// RFC 2202 §2 and §3, and RFC 4231 §4: test case 2, and case 6 with a key longer than a block.
fn hmac(provider: &CryptoProvider) {
    let message = b"what do ya want for nothing?".as_slice();
    for (algorithm, tag) in [
        (HashAlgorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
        (HashAlgorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (HashAlgorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            HashAlgorithm::Sha384,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            HashAlgorithm::Sha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let key = provider.digests.hmac(algorithm, b"Jefe");
        let tag = hex(tag);
        for parts in [&[message][..], &[&message[..9], &message[9..]]] {
            assert_eq!(&*key.sign(parts), tag);
        }
        assert!(key.verify(&[message], &tag));
        assert!(key.verify(&[message], &tag[..10]), "a tag may be cut short");
        assert!(!key.verify(&[message], &[]), "but not to nothing");
        assert!(!key.verify(&[message], &[&tag[..], &[0]].concat()));
        assert!(!key.verify(&[b"other"], &tag));
    }
    let key = provider.digests.hmac(HashAlgorithm::Sha256, &[0xaa; 131]);
    assert_eq!(
        &*key.sign(&[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
        hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    );
}

fn key_exchange(provider: &CryptoProvider) {
    for &group in provider.key_exchanges.groups() {
        let ours = provider.key_exchanges.start(group).unwrap();
        let theirs = provider.key_exchanges.start(group).unwrap();
        assert_eq!(ours.group(), group);
        assert_eq!(NamedGroup::from_id(group.id()), Some(group));
        let (our_share, their_share) = (ours.public_key().to_vec(), theirs.public_key().to_vec());
        assert_ne!(our_share, their_share);
        let secret = ours.complete(&their_share).unwrap();
        assert_eq!(secret.as_bytes(), theirs.complete(&our_share).unwrap().as_bytes());
        assert!(secret.as_bytes().iter().any(|byte| *byte != 0));

        let start = || provider.key_exchanges.start(group).unwrap();
        assert!(start().complete(&[]).is_err());
        assert!(start().complete(&our_share[1..]).is_err());
        // For X25519 a point of small order, for the others not a point.
        let mut zero = vec![0; our_share.len()];
        assert!(start().complete(&zero).is_err());
        zero[0] = 4;
        assert!(group == NamedGroup::X25519 || start().complete(&zero).is_err(), "off the curve");
    }
}

/// The DER of a SubjectPublicKeyInfo on P-256, on P-384 and of X25519, up to the key (RFC 5480, RFC 8410).
const SPKI_P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const SPKI_P384: &str = "3076301006072a8648ce3d020106052b81040022036200";
const SPKI_X25519: &str = "302a300506032b656e032100";

/// Another form of an uncompressed point, by the first byte that an even `y` has.
fn point(uncompressed: &[u8], form: u8) -> Vec<u8> {
    let (x_end, last) = (1 + (uncompressed.len() - 1) / 2, uncompressed[uncompressed.len() - 1]);
    let end = if form == 2 { x_end } else { uncompressed.len() };
    [&[form | last & 1], &uncompressed[1..end]].concat()
}

/// RFC 8422 §5.4.1: a share has one form only.
fn shares_in_another_form(provider: &CryptoProvider) {
    for &group in provider.key_exchanges.groups() {
        let share = provider.key_exchanges.start(group).unwrap().public_key().to_vec();
        let info = match group {
            NamedGroup::X25519 => SPKI_X25519,
            NamedGroup::Secp256r1 => SPKI_P256,
            NamedGroup::Secp384r1 => SPKI_P384,
        };
        let mut forms = vec![[hex(info), share.clone()].concat(), [&share[..], &[0]].concat()];
        if group != NamedGroup::X25519 {
            forms.extend([point(&share, 2), point(&share, 6)]);
        }
        for form in forms {
            let refused = provider.key_exchanges.start(group).unwrap().complete(&form);
            assert_eq!(refused.map(|_| ()), Err(CryptoError::InvalidKey), "{group:?} {form:02x?}");
        }
    }
}

/// RFC 8422 §5.1.2: what is verified with is an uncompressed point, too.
fn public_keys_in_another_form(provider: &CryptoProvider) {
    let key = provider.signatures.load(&provider.signatures.generate_p256().unwrap()).unwrap();
    let (point_of_key, signature) = (key.public_key(), key.sign(b"message").unwrap());
    let forms = [
        [hex(SPKI_P256), point_of_key.to_vec()].concat(),
        point(point_of_key, 2),
        point(point_of_key, 6),
        Vec::new(),
    ];
    for form in forms {
        let verified =
            provider.signatures.verify(key.scheme(), PublicKey::P256(&form), b"message", &signature);
        assert_eq!(verified, Err(CryptoError::InvalidKey), "{form:02x?}");
    }
}

/// RFC 6979 A.2.5 and A.2.6: "sample" with SHA-256 and SHA-384 on P-256 and P-384, DER-encoded.
fn signature_vectors(provider: &CryptoProvider) {
    let p256 = hex("0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
    let p384 = hex("04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64\
                    def8f0ea9055866064a254515480bc13\
                    8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1\
                    288b231c3ae0d4fe7344fd2533264720");
    let cases = [
        (
            SignatureScheme::EcdsaSha256,
            PublicKey::P256(&p256),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            SignatureScheme::EcdsaSha384,
            PublicKey::P256(&p256),
            "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719",
            "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
        ),
        (
            SignatureScheme::EcdsaSha256,
            PublicKey::P384(&p384),
            "21b13d1e013c7fa1392d03c5f99af8b30c570c6f98d4ea8e354b63a21d3daa33bde1e888e63355d92fa2b3c36d8fb2cd",
            "f3aa443fb107745bf4bd77cb3891674632068a10ca67e3d45db2266fa7d1feebefdc63eccd1ac42ec0cb8668a4fa0ab0",
        ),
        (
            SignatureScheme::EcdsaSha384,
            PublicKey::P384(&p384),
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
            "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        ),
    ];
    for (scheme, key, r, s) in cases {
        let integer = |number: &str| {
            let mut bytes = hex(number);
            if bytes[0] >= 0x80 {
                bytes.insert(0, 0);
            }
            [&[2, bytes.len() as u8], &bytes[..]].concat()
        };
        let body = [integer(r), integer(s)].concat();
        let signature = [&[0x30, body.len() as u8], &body[..]].concat();
        let verify = |message: &[u8]| provider.signatures.verify(scheme, key, message, &signature);
        assert_eq!(verify(b"sample"), Ok(()), "{scheme:?} {key:?}");
        assert_eq!(verify(b"Sample"), Err(CryptoError::Signature));
    }
}

fn signing(provider: &CryptoProvider) {
    let private_key = provider.signatures.generate_p256().unwrap();
    let key = provider.signatures.load(&private_key).unwrap();
    assert_eq!(key.scheme(), SignatureScheme::EcdsaSha256);
    let signature = key.sign(b"message").unwrap();
    let public_key = PublicKey::P256(key.public_key());
    let verify = |scheme, key, message: &[u8], signature: &[u8]| {
        provider.signatures.verify(scheme, key, message, signature)
    };
    let scheme = key.scheme();
    assert_eq!(verify(scheme, public_key, b"message", &signature), Ok(()));
    assert_eq!(verify(scheme, public_key, b"massage", &signature), Err(CryptoError::Signature));
    assert!(verify(scheme, public_key, b"message", &signature[1..]).is_err());
    assert!(verify(scheme, public_key, b"message", &[]).is_err());
    assert!(verify(scheme, PublicKey::P384(key.public_key()), b"message", &signature).is_err());
    assert!(verify(scheme, PublicKey::Rsa(&[]), b"message", &signature).is_err());
    assert!(provider.signatures.load(&PrivateKey::from_pkcs8(b"no key")).is_err());
    // What PKCS#8 wraps begins with the version and the length of the secret; attributes come with none here.
    let pkcs8 = private_key.as_pkcs8();
    let at = pkcs8.windows(5).position(|window| window == [0x02, 1, 1, 0x04, 32]).unwrap() - 2;
    let again = provider.signatures.load(&PrivateKey::from_sec1(&pkcs8[at..])).unwrap();
    assert_eq!((again.scheme(), again.public_key()), (key.scheme(), key.public_key()));
    // As `openssl ecparam -genkey -name secp384r1` writes it.
    let point = "045ab122a2a13b8b41ba3bb9bce022fc82d8376aa34af600086122b8b22ae2f859d4a0d04e7e97675436383b60287e46d14f\
                 f408cd47997686740ac099f236e733ff9aacad71bb748ca001e38289b1d5b513c92f1846607ef18dd0b1f92e1eb8f9";
    let sec1 = [
        "3081a4020101043067f52abfee54c94ddfda323805a0387cbaf9060dd67ebc50a80780c17664b1a9eba8a4d5fb44e733efee91b7",
        "c82ae8cea00706052b81040022a164036200",
        point,
    ];
    let sec1 = hex(&sec1.concat());
    let p384 = provider.signatures.load(&PrivateKey::from_sec1(&sec1)).unwrap();
    assert_eq!((p384.scheme(), p384.public_key()), (SignatureScheme::EcdsaSha384, &hex(point)[..]));
    for cut in (0..sec1.len()).step_by(7) {
        assert!(provider.signatures.load(&PrivateKey::from_sec1(&sec1[..cut])).is_err());
    }
    for scheme in provider.signatures.schemes() {
        assert_eq!(SignatureScheme::from_id(scheme.id()), Some(*scheme));
    }
}

fn random(provider: &CryptoProvider) {
    let (mut a, mut b) = ([0; 32], [0; 32]);
    provider.random.fill(&mut a);
    provider.random.fill(&mut b);
    assert_ne!(a, b);
}

macro_rules! suite {
    ($($feature:literal $provider:ident: $($test:ident)*;)*) => {$(
        #[cfg(feature = $feature)]
        mod $provider {
            $(
                #[test]
                fn $test() {
                    super::$test(&crate::crypto::$provider::provider());
                }
            )*
        }
    )*};
}

suite! {
    "aws-lc-rs" aws_lc_rs: aead counter_mode hashes hmac key_exchange shares_in_another_form
        signature_vectors public_keys_in_another_form signing random;
    "rust-crypto" rust_crypto: aead counter_mode hashes hmac key_exchange shares_in_another_form
        signature_vectors public_keys_in_another_form signing random;
}

#[cfg(all(feature = "aws-lc-rs", feature = "rust-crypto"))]
#[test]
fn the_providers_agree() {
    let (a, b) = (super::aws_lc_rs::provider(), super::rust_crypto::provider());
    for (signer, verifier) in [(&a, &b), (&b, &a)] {
        let private_key = signer.signatures.generate_p256().unwrap();
        let key = verifier.signatures.load(&private_key).unwrap();
        let signature = signer.signatures.load(&private_key).unwrap().sign(b"message").unwrap();
        let public_key = PublicKey::P256(key.public_key());
        verifier.signatures.verify(key.scheme(), public_key, b"message", &signature).unwrap();
    }
    for &group in a.key_exchanges.groups() {
        let ours = a.key_exchanges.start(group).unwrap();
        let theirs = b.key_exchanges.start(group).unwrap();
        let (our_share, their_share) = (ours.public_key().to_vec(), theirs.public_key().to_vec());
        let secret = ours.complete(&their_share).unwrap();
        assert_eq!(secret.as_bytes(), theirs.complete(&our_share).unwrap().as_bytes());
    }
}

#[cfg(all(feature = "aws-lc-rs", feature = "rust-crypto"))]
#[test]
fn the_providers_agree_on_errors() {
    let providers = [super::aws_lc_rs::provider(), super::rust_crypto::provider()];
    let private_key = providers[0].signatures.generate_p256().unwrap();
    let key = providers[0].signatures.load(&private_key).unwrap();
    let signature = key.sign(b"message").unwrap();
    let verify = |key: PublicKey<'_>, scheme, signature: &[u8]| {
        let [a, b] = [0, 1].map(|i| providers[i].signatures.verify(scheme, key, b"message", signature));
        assert_eq!(a, b, "{key:02x?} {scheme:?} {signature:02x?}");
        a
    };
    let p256 = PublicKey::P256(key.public_key());
    let scheme = SignatureScheme::EcdsaSha256;
    verify(p256, scheme, &signature).unwrap();
    // Not minimal, not DER, behind the end, negative, zero, beyond the order.
    let (r, s) = signature[2..].split_at(2 + usize::from(signature[3]));
    let sequence = |parts: &[&[u8]]| {
        let body = parts.concat();
        [&[0x30, body.len() as u8], &body[..]].concat()
    };
    let order = hex("022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let padded = [&[2, r[1] + 1, 0], &r[2..]].concat();
    let long = [&[0x30, 0x81, signature[1]], &signature[2..]].concat();
    for wrong in [
        &signature[1..],
        &[&signature[..], &[0]].concat(),
        &sequence(&[&padded, s]),
        &long,
        &sequence(&[&[2, 1, 0xff], s]),
        &sequence(&[&[2, 1, 0], s]),
        &sequence(&[r, &[2, 1, 0]]),
        &sequence(&[r, &order]),
        &sequence(&[r, s, &[2, 1, 1]]),
        &sequence(&[r]),
        &[],
    ] {
        verify(p256, scheme, wrong).unwrap_err();
    }
    for at in 0..signature.len() {
        let mut wrong = signature.clone();
        wrong[at] ^= 1;
        verify(p256, scheme, &wrong).unwrap_err();
    }
    let mut off_curve = key.public_key().to_vec();
    off_curve[64] ^= 1;
    assert_eq!(verify(PublicKey::P256(&off_curve), scheme, &signature), Err(CryptoError::InvalidKey));
    verify(PublicKey::P384(&[4; 97]), scheme, &signature).unwrap_err();
    for group in [NamedGroup::X25519, NamedGroup::Secp256r1, NamedGroup::Secp384r1] {
        let share = providers[0].key_exchanges.start(group).unwrap().public_key().to_vec();
        let start = |i: usize| providers[i].key_exchanges.start(group).unwrap();
        let agree = |share: &[u8]| {
            let [a, b] = [0, 1].map(|i| start(i).complete(share).map(|_| ()));
            assert_eq!(a, b, "{group:?} {share:02x?}");
            a
        };
        let mut off_curve = share.clone();
        let last = off_curve.len() - 1;
        off_curve[last] ^= 1;
        assert_eq!(agree(&off_curve).is_ok(), group == NamedGroup::X25519);
        agree(&[&[4][..], &vec![0xff; share.len() - 1]].concat()).ok();
        agree(&[0]).unwrap_err();
    }
    // Points of small order (RFC 7748 §6.1), in a form that is not reduced, too.
    for small in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        for provider in &providers {
            let refused = provider.key_exchanges.start(NamedGroup::X25519).unwrap().complete(&hex(small));
            assert_eq!(refused.map(|_| ()), Err(CryptoError::InvalidKey), "{small}");
        }
    }
    for len in [0, 15, 17, 24, 31, 33] {
        let [a, b] = [0, 1].map(|i| providers[i].ciphers.aes_ctr(&vec![1; len]).map(|_| ()).unwrap_err());
        assert_eq!(a, b);
        for algorithm in [AeadAlgorithm::Aes128Gcm, AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305]
        {
            let [a, b] = [0, 1].map(|i| providers[i].ciphers.aead(algorithm, &vec![1; len]).map(|_| ()));
            assert_eq!(a, b, "{algorithm:?} {len}");
        }
    }
    // Counters run over.
    for key in [&[7; 16][..], &[7; 32]] {
        for low in [0xff, 0xfe] {
            let mut counter = [0xff; 16];
            counter[15] = low;
            let [a, b] = [0, 1].map(|i| {
                let mut buffer = [0; 100];
                providers[i].ciphers.aes_ctr(key).unwrap().apply(&counter, &mut buffer);
                buffer
            });
            assert_eq!(a, b);
        }
    }
}
