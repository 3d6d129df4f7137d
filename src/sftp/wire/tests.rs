use super::*;

fn cut(bytes: &[u8], step: usize) -> Result<Vec<Frame>, Fault> {
    let (mut cutter, mut all) = (Cutter::default(), Vec::new());
    for piece in bytes.chunks(step) {
        cutter.push(piece, |f| all.push(f))?;
    }
    Ok(all)
}

fn frame(p: Packet) -> Frame {
    cut(&p.seal(7), 1000).unwrap().remove(0)
}

#[test]
fn packets_are_cut_at_any_boundary() {
    let mut stream = Vec::new();
    for id in 0..20 {
        stream.extend(
            Packet::new(kind::DATA)
                .bytes(&vec![id; id as usize * 37])
                .seal(id.into()),
        );
    }
    for step in [1, 2, 3, 5, 64, 10_000] {
        let all = cut(&stream, step).unwrap();
        assert_eq!(all.len(), 20);
        for (id, frame) in all.iter().enumerate() {
            assert_eq!(frame.id(), Some(id as u32));
            assert_eq!(frame.data().unwrap(), vec![id as u8; id * 37]);
        }
    }
}

#[test]
fn impossible_lengths_are_refused_before_memory_is_taken() {
    assert!(cut(&[0xff; 8], 8).is_err());
    assert!(cut(b"Welcome to the server!\n", 100).is_err());
    assert!(cut(&[0, 0, 0, 4, 1, 1, 1, 1], 8).is_err());
}

#[test]
fn names_are_bytes_and_attributes_are_optional() {
    let full = Attrs {
        size: Some(1 << 40),
        owner: Some((1, 2)),
        permissions: Some(0o100_644),
        times: Some((3, 4)),
    };
    let p = Packet::new(kind::NAME).u32(2);
    let p = p.bytes(b"\xff\n").bytes(b"long").attrs(&full);
    let p = p.bytes(b"b").bytes(b"").attrs(&Attrs::default());
    let names = frame(p).names().unwrap().unwrap();
    assert_eq!(names[0], (b"\xff\n".to_vec(), full));
    assert_eq!(names[1], (b"b".to_vec(), Attrs::default()));
}

#[test]
fn a_status_is_a_fault_with_its_code() {
    let p = Packet::new(kind::STATUS)
        .u32(code::NO_SUCH_FILE)
        .bytes("se fue, señor\x1b[1m".as_bytes());
    let fault = frame(p).attrs().unwrap_err();
    assert!(fault.is(code::NO_SUCH_FILE));
    let e = fault.into_error("examining x");
    assert_eq!(e.kind(), Kind::Missing);
    assert_eq!(
        e.to_string(),
        "examining x: the server says: se fue, señor\u{fffd}[1m"
    );
    let p = Packet::new(kind::STATUS).u32(code::EOF);
    assert!(frame(p).names().unwrap().is_none());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 5..200), kind in 100u8..106) {
        let mut body = body;
        body[0] = kind;
        let frame = Frame(body);
        let _ = (frame.id(), frame.done(), frame.handle(), frame.attrs(), frame.names());
        let _ = (frame.data().map(<[u8]>::len), frame.version(), frame.numbers::<4>());
    }
}
