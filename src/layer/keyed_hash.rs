//! Hashes under secret keys, for tables whose keys a peer chooses: who knows the hash of a table can choose keys that all
//! fall into one place of it, and makes each look-up one through all of them.

use std::fmt;
use std::hash::BuildHasher;
#[cfg(any(feature = "srtp", feature = "session", test))]
use std::hash::Hasher;

/// The secret of a table. By default there is none, which is for tables that are empty.
#[derive(Clone, Copy, Default)]
pub(crate) struct HashKeys([u64; 2]);

impl HashKeys {
    /// The keys that random bytes make.
    pub(crate) fn new(random: [u8; 16]) -> Self {
        let all = u128::from_ne_bytes(random);
        Self([all as u64, (all >> 64) as u64])
    }

    /// For names and addresses.
    #[cfg(any(feature = "dtls", feature = "session", feature = "stun", test))]
    pub(crate) fn names(self) -> NameHash {
        NameHash(self)
    }

    /// For numbers of at most 32 bits.
    #[cfg(any(feature = "srtp", feature = "session", test))]
    pub(crate) fn numbers(self) -> NumberHash {
        NumberHash(self)
    }
}

impl fmt::Debug for HashKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKeys")
    }
}

/// SipHash, a pseudorandom function.
#[cfg(any(feature = "dtls", feature = "session", feature = "stun", test))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameHash(HashKeys);

#[cfg(any(feature = "dtls", feature = "session", feature = "stun", test))]
impl BuildHasher for NameHash {
    // The hasher that takes its place in the standard library has keys of its own, which are the same in each process.
    #[expect(deprecated)]
    type Hasher = std::hash::SipHasher;

    #[expect(deprecated)]
    fn build_hasher(&self) -> Self::Hasher {
        let [first, second] = self.0.0;
        std::hash::SipHasher::new_with_keys(first, second)
    }
}

/// Multiply-shift (Dietzfelbinger 1996), which is strongly universal for numbers of 32 bits: whatever two of them are
/// chosen without the keys, they meet as seldom as random ones do. It costs what a hash without keys does.
#[cfg(any(feature = "srtp", feature = "session", test))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHash(HashKeys);

#[cfg(any(feature = "srtp", feature = "session", test))]
impl BuildHasher for NumberHash {
    type Hasher = NumberHasher;

    #[inline]
    fn build_hasher(&self) -> NumberHasher {
        NumberHasher { keys: self.0.0, hash: 0 }
    }
}

/// The hash of one number.
#[cfg(any(feature = "srtp", feature = "session", test))]
#[derive(Debug)]
pub(crate) struct NumberHasher {
    keys: [u64; 2],
    hash: u64,
}

#[cfg(any(feature = "srtp", feature = "session", test))]
impl Hasher for NumberHasher {
    #[inline]
    fn write_u32(&mut self, number: u32) {
        let [factor, offset] = self.keys;
        let product = factor.wrapping_mul(u64::from(number)).wrapping_add(offset).wrapping_add(self.hash);
        // The high half is the hash; the table takes a place from the low bits of what it is given, and a tag from the
        // high ones.
        self.hash = (product >> 32) | (product & 0xffff_ffff_0000_0000);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::BuildHasher;

    use super::*;

    /// So many keys share the fullest place of a table of 4096.
    fn fullest(hashes: impl Iterator<Item = u64>) -> usize {
        let mut places = HashMap::<u64, usize>::new();
        hashes.for_each(|hash| *places.entry(hash & 4095).or_default() += 1);
        places.into_values().max().unwrap_or(0)
    }

    /// Keys that are all in one place without a secret are spread with one, and each secret spreads them otherwise.
    #[test]
    fn chosen_keys_are_spread() {
        let plain = rustc_hash::FxBuildHasher;
        let numbers: Vec<u32> =
            (0..u32::MAX).filter(|number| plain.hash_one(number) & 4095 == 7).take(1000).collect();
        let names: Vec<String> = (0..u32::MAX)
            .map(|number| number.to_string())
            .filter(|name| plain.hash_one(name) & 4095 == 7)
            .take(300)
            .collect();
        assert_eq!(fullest(numbers.iter().map(|number| plain.hash_one(number))), 1000);
        assert_eq!(fullest(names.iter().map(|name| plain.hash_one(name))), 300);
        for seed in 1..20u8 {
            let random: [u8; 16] =
                std::array::from_fn(|at| seed.wrapping_mul(91).wrapping_add((at as u8).wrapping_mul(57)));
            let keys = HashKeys::new(random);
            assert!(fullest(numbers.iter().map(|number| keys.numbers().hash_one(number))) < 12);
            assert!(fullest(names.iter().map(|name| keys.names().hash_one(name))) < 12);
        }
    }
}
