//! What an SFTP server sends, made up by somebody else.

use super::wire::{Cutter, Frame};

/// A stream of packets, cut in two ways, each packet read as every answer.
pub(crate) fn packets(bytes: &[u8]) {
    let read = |frame: &Frame| {
        let _ = (frame.id(), frame.done(), frame.handle(), frame.attrs());
        let _ = (
            frame.data().map(<[u8]>::len),
            frame.names(),
            frame.version(),
        );
        let _ = (frame.numbers::<2>(), frame.numbers::<11>());
    };
    let mut whole = Vec::new();
    let mut cutter = Cutter::default();
    let all = cutter.push(bytes, |frame| {
        read(&frame);
        whole.push(format!("{frame:?}"));
    });
    let mut pieces = Vec::new();
    let mut cutter = Cutter::default();
    let each = bytes
        .chunks(3)
        .try_for_each(|part| cutter.push(part, |frame| pieces.push(format!("{frame:?}"))));
    assert_eq!(all.is_ok(), each.is_ok());
    assert_eq!(whole, pieces, "where the stream is cut does not matter");
}

/// Well-formed answers of every type.
#[cfg(test)]
pub(crate) fn samples() -> Vec<Vec<u8>> {
    use super::wire::kind;

    let packet = |fields: &[&[u8]]| {
        let body = fields.concat();
        [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    };
    let text = |text: &str| {
        [
            &u32::try_from(text.len()).unwrap().to_be_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    };
    let id = 7u32.to_be_bytes();
    // Size, owner, permissions and times.
    let attrs = [
        &15u32.to_be_bytes()[..],
        &4096u64.to_be_bytes(),
        &1000u32.to_be_bytes(),
        &1000u32.to_be_bytes(),
        &0o100_644u32.to_be_bytes(),
        &1u32.to_be_bytes(),
        &2u32.to_be_bytes(),
    ]
    .concat();
    let version = packet(&[
        &[kind::VERSION],
        &3u32.to_be_bytes(),
        &text("posix-rename@openssh.com"),
        &text("1"),
    ]);
    let status = packet(&[
        &[kind::STATUS],
        &id,
        &2u32.to_be_bytes(),
        &text("No such file"),
        &text(""),
    ]);
    let names = packet(&[
        &[kind::NAME],
        &id,
        &2u32.to_be_bytes(),
        &text("mesa de partes"),
        &text("-rw-r--r-- 1 a a"),
        &attrs,
        &text("b"),
        &text(""),
        &attrs,
    ]);
    vec![
        [version, status.clone()].concat(),
        packet(&[&[kind::HANDLE], &id, &text("h")]),
        packet(&[&[kind::DATA], &id, &text("contenido")]),
        names,
        packet(&[&[kind::ATTRS], &id, &attrs]),
        packet(&[&[kind::EXTENDED_REPLY], &id, &[0; 88]]),
        status,
    ]
}
