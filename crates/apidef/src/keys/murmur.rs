//! MurmurHash3 (public domain algorithm by Austin Appleby), seed 0, the two variants that keys use.

/// The x86 32-bit variant.
pub(crate) fn murmur3_x86_32(data: &[u8]) -> u32 {
    fn scramble(k: u32) -> u32 {
        k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
    }
    let (blocks, tail) = data.as_chunks::<4>();
    let mut h = 0u32;
    for block in blocks {
        h ^= scramble(u32::from_le_bytes(*block));
        h = h.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        h ^= scramble(u32::from_le_bytes(last));
    }
    h ^= data.len() as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// The x64 128-bit variant, as its first and second half.
pub(crate) fn murmur3_x64_128(data: &[u8]) -> (u64, u64) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    fn scramble1(k: u64) -> u64 {
        k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
    }
    fn scramble2(k: u64) -> u64 {
        k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
    }
    fn finish(k: u64) -> u64 {
        let k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    }
    fn halves(block: &[u8; 16]) -> (u64, u64) {
        let both = u128::from_le_bytes(*block);
        (both as u64, (both >> 64) as u64)
    }

    let (blocks, tail) = data.as_chunks::<16>();
    let (mut h1, mut h2) = (0u64, 0u64);
    for block in blocks {
        let (k1, k2) = halves(block);
        h1 ^= scramble1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    // A missing half is zero, and zero scrambles to zero, so no case is needed for short tails.
    let (k1, k2) = halves(&last);
    h1 ^= scramble1(k1);
    h2 ^= scramble2(k2);

    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    (h1, h2.wrapping_add(h1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_1_row_6_agrees_with_published_vectors() {
        // (text, x86_32, x64_128), seed 0, from published implementations' documentation.
        let vectors: [(&str, u32, (u64, u64)); 3] = [
            ("", 0, (0, 0)),
            ("hello", 0x248b_fa47, (0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19)),
            (
                "The quick brown fox jumps over the lazy dog",
                0x2e4f_f723,
                (0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347),
            ),
        ];
        for (text, short, long) in vectors {
            assert_eq!(murmur3_x86_32(text.as_bytes()), short, "{text:?}");
            assert_eq!(murmur3_x64_128(text.as_bytes()), long, "{text:?}");
        }
    }
}
