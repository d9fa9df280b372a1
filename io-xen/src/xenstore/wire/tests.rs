//! The codec: forms, limits, any split, any bytes.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes(header: [u32; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_ne_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<Message>, Violation> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    decoder.next_message()
}

#[test]
fn types_have_the_protocols_numbers() {
    for op in Op::ALL {
        assert_eq!(Op::of(op as u32), Some(op));
    }
    for none in [20, 23, 0xffff, u32::MAX] {
        assert_eq!(Op::of(none), None);
    }
    // As real messages have them.
    let mut out = Vec::new();
    let message = Message { op: Op::DirectoryPart, request: 7, transaction: 3, payload: b"/\x000\x00".to_vec() };
    message.encode(&mut out).unwrap();
    assert_eq!(out, bytes([22, 7, 3, 4], b"/\x000\x00"));
}

#[test]
fn illegal_messages_are_named() {
    let long = MOST_TAKEN as u32 + 1;
    for (what, stream, expected) in [
        ("nothing", vec![], Ok(None)),
        ("a part of a header", bytes([2, 1, 0, 0], b"")[..15].to_vec(), Ok(None)),
        ("a part of a payload", bytes([2, 1, 0, 3], b"ab"), Ok(None)),
        ("the type that is not one", bytes([20, 1, 0, 0], b""), Err(Violation::UnknownType(20))),
        ("a type of no daemon", bytes([u32::MAX, 1, 0, u32::MAX], b""), Err(Violation::UnknownType(u32::MAX))),
        ("too long", bytes([2, 1, 0, long], b""), Err(Violation::TooLong(long))),
        ("too long by far", bytes([2, 1, 0, u32::MAX], b""), Err(Violation::TooLong(u32::MAX))),
    ] {
        assert_eq!(decode(&stream), expected, "{what}");
    }
    let mut out = Vec::new();
    let mut message = Message { op: Op::Write, request: 1, transaction: 0, payload: vec![b'x'; MOST_SENT + 1] };
    assert_eq!(message.encode(&mut out), Err(Error::TooLong(MOST_SENT + 1)));
    assert!(out.is_empty(), "nothing of it is sent");
    message.payload.pop();
    assert_eq!(message.encode(&mut out), Ok(()));
}

#[test]
fn lists_and_paths() {
    let list = |payload| texts(payload).collect::<Vec<_>>();
    assert_eq!(list(b"a\0bc\0"), [&b"a"[..], b"bc"]);
    assert!(list(b"").is_empty() && list(b"\0\0").is_empty());
    assert_eq!(payload(&["/a", "", "t"]), b"/a\0\0t\0");
    for (path, fine) in [
        ("/", true),
        ("/local/domain/0/a-b_c@d", true),
        ("", false),
        ("a", false),
        ("/a/", false),
        ("//", false),
        ("/a//b", false),
        ("/a b", false),
        ("/a:b", false),
        ("/a\0b", false),
        ("/é", false),
        ("@releaseDomain", false),
    ] {
        assert_eq!(is_path(path), fine, "{path}");
    }
    assert!(is_path(&format!("/{}", "a".repeat(LONGEST_PATH - 1))));
    assert!(!is_path(&format!("/{}", "a".repeat(LONGEST_PATH))));
}

fn message() -> impl Strategy<Value = Message> {
    let op = (0..Op::ALL.len()).prop_map(|n| Op::ALL[n]);
    (op, any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..200)).prop_map(|(op, request, transaction, payload)| Message {
        op,
        request,
        transaction,
        payload,
    })
}

proptest! {
    /// Fails where `push` forgets what was not complete.
    #[test]
    fn any_split_gives_the_same_messages(messages in vec(message(), 0..8), cuts in vec(1usize..64, 1..40)) {
        let mut stream = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut stream).unwrap());
        let mut decoder = Decoder::default();
        let mut taken = Vec::new();
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            decoder.push(piece);
            while let Some(message) = decoder.next_message().unwrap() {
                taken.push(message);
            }
            rest = after;
        }
        prop_assert!(decoder.is_between());
        prop_assert_eq!(taken, messages);
    }

    /// Fails where a length is believed before its bytes are there.
    #[test]
    fn garbage_neither_panics_nor_grows(pieces in vec(vec(any::<u8>(), 0..64), 0..32)) {
        let mut decoder = Decoder::default();
        for piece in &pieces {
            decoder.push(piece);
            while let Ok(Some(_)) = decoder.next_message() {}
        }
        prop_assert!(decoder.bytes.capacity() <= 4096 + 2 * pieces.iter().map(Vec::len).sum::<usize>());
    }
}
