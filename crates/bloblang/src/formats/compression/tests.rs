use bytes::Bytes;

use super::*;
use crate::formats::LARGEST;

const ALL: [Algorithm; 6] =
    [Algorithm::Flate, Algorithm::Gzip, Algorithm::Lz4, Algorithm::Snappy, Algorithm::Zlib, Algorithm::Zstd];

fn packed(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
    pack(algorithm, Effort::default(), data).unwrap()
}

#[test]
fn what_was_packed_is_unpacked_and_what_was_not_is_told() {
    let long = b"abc".repeat(10_000);
    for algorithm in ALL {
        for data in [&b""[..], b"x", &long] {
            let packed = packed(algorithm, data);
            assert_eq!(unpack(algorithm, &packed, LARGEST).unwrap(), data, "{algorithm:?}");
            assert!(unpack(algorithm, b"\x37not packed at all", LARGEST).is_err(), "{algorithm:?}");
        }
        let whole = packed(algorithm, &long);
        let told = unpack(algorithm, &whole, 1000).unwrap_err();
        assert!(told.contains("larger than 1000 bytes"), "{algorithm:?}: {told}");
        assert!(unpack(algorithm, &whole[..whole.len() / 2], LARGEST).is_err(), "{algorithm:?}: cut off");
        assert!(unpack(algorithm, &whole[..whole.len() - 1], LARGEST).is_err(), "{algorithm:?}: cut off");
    }
}

/// `hello hello`, as the program bzip2 packs it.
const BZIP2: [u8; 43] = [
    0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x04, 0x08, 0x0d, 0x8e, 0x00, 0x00, 0x01,
    0x91, 0x00, 0x40, 0x00, 0x02, 0x44, 0xa0, 0x00, 0x21, 0x20, 0x06, 0x68, 0x35, 0x1c, 0xa6, 0x0e, 0x2e,
    0xe4, 0x8a, 0x70, 0xa1, 0x20, 0x08, 0x10, 0x1b, 0x1c,
];

#[test]
fn bzip2_is_unpacked_whole_in_pieces_and_one_after_the_other() {
    let two = [BZIP2, BZIP2].concat();
    assert_eq!(unpack(Algorithm::Bzip2, &BZIP2, LARGEST).unwrap(), b"hello hello");
    assert_eq!(unpack(Algorithm::Bzip2, &two, LARGEST).unwrap(), b"hello hellohello hello");
    assert!(unpack(Algorithm::Bzip2, &two, 20).unwrap_err().contains("larger than 20 bytes"));
    for wrong in [&BZIP2[..20], &BZIP2[..42], b"BZh9", b"nothing"] {
        assert!(unpack(Algorithm::Bzip2, wrong, LARGEST).is_err(), "{wrong:?}");
        let mut push = Push::new(Algorithm::Bzip2);
        push.feed(&Bytes::copy_from_slice(wrong), &mut |_| Ok(())).unwrap();
        assert!(push.finish(&mut |_| Ok(())).is_err(), "{wrong:?}");
    }
    let (mut push, mut out) = (Push::new(Algorithm::Bzip2), Vec::new());
    for chunk in two.chunks(7) {
        push.feed(&Bytes::copy_from_slice(chunk), &mut |_| Ok(())).unwrap();
    }
    push.finish(&mut |bytes| {
        out.extend_from_slice(&bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(out, b"hello hellohello hello");
}

#[test]
fn what_arrives_in_pieces_is_unpacked_as_it_arrives() {
    use std::io::Write as _;
    let data = b"0123456789".repeat(5_000);
    for algorithm in ALL {
        let mut whole = packed(algorithm, &data);
        if algorithm == Algorithm::Snappy {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(&data).unwrap();
            whole = encoder.into_inner().unwrap();
        }
        for size in [1, 100, whole.len()] {
            let (mut push, mut out) = (Push::new(algorithm), Vec::new());
            for chunk in whole.chunks(size) {
                push.feed(&Bytes::copy_from_slice(chunk), &mut |bytes| {
                    out.extend_from_slice(&bytes);
                    Ok(())
                })
                .unwrap();
            }
            push.finish(&mut |bytes| {
                out.extend_from_slice(&bytes);
                Ok(())
            })
            .unwrap();
            assert_eq!(out, data, "{algorithm:?} by {size}");
        }
        let mut push = Push::new(algorithm);
        let cut = Bytes::copy_from_slice(&whole[..whole.len() - 3]);
        let fed = push.feed(&cut, &mut |_| Ok(()));
        assert!(fed.and_then(|()| push.finish(&mut |_| Ok(()))).is_err(), "{algorithm:?}: cut off");
    }
}

#[test]
fn what_nearly_nothing_stands_for_is_refused() {
    let zeros = vec![0; 17 << 20];
    let effort = Algorithm::Zstd.effort(3).unwrap();
    let told = unpack(Algorithm::Zstd, &pack(Algorithm::Zstd, effort, &zeros).unwrap(), LARGEST).unwrap_err();
    assert!(told.contains("larger than 16777216 bytes"), "{told}");
    let most = packed(Algorithm::Zlib, &zeros);
    assert_eq!(unpack(Algorithm::Zlib, &most, LARGEST).unwrap().len(), zeros.len());
    assert!(unpack(Algorithm::Snappy, &[255, 255, 255, 255, 15], LARGEST).is_err());
}

#[test]
fn lz4_is_framed_with_a_checksum() {
    let frame = packed(Algorithm::Lz4, b"some text");
    // The magic number, then version 1, blocks for themselves, a checksum of the whole.
    assert_eq!(frame[..5], [0x04, 0x22, 0x4d, 0x18, 0x64]);
    let mut broken = frame.clone();
    broken[11] ^= 1;
    assert!(unpack(Algorithm::Lz4, &broken, LARGEST).is_err());
}

#[test]
fn levels_are_those_of_the_algorithm() {
    for (name, level, allowed) in [
        ("gzip", -3, false),
        ("gzip", -2, true),
        ("flate", 0, true),
        ("zlib", 9, true),
        ("pgzip", 10, false),
        ("zstd", 22, true),
        ("zstd", 0, true),
        ("zstd", 23, false),
        ("lz4", 100, true),
        ("snappy", -5, true),
    ] {
        let algorithm = Algorithm::named(name).unwrap();
        assert_eq!(algorithm.effort(level).is_ok(), allowed, "{name} {level}");
        for data in [&b""[..], &[7; 1000]] {
            if let Ok(effort) = algorithm.effort(level) {
                let packed = pack(algorithm, effort, data).unwrap();
                assert_eq!(unpack(algorithm, &packed, LARGEST).unwrap(), data, "{name} {level}");
            }
        }
    }
}
