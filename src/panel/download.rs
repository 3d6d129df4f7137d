//! One place that turns a [`Download`] into an answer; used by API and pages.

use std::io::{BufWriter, Read, Write};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{AppState, paths};
use crate::engine::Result;
use crate::service::Download;

/// Bytes handed over at once.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for a slow reader.
const PIECES: usize = 4;

type Piece = std::io::Result<Bytes>;

/// Streams a file, or a folder as tar, as an attachment. If it cannot be read
/// to its end the connection is broken off, so that nobody takes a part for
/// the whole.
pub async fn respond(app: &AppState, snapshot: String, path: Vec<Vec<u8>>) -> Result<Response> {
    let download = app
        .run(move |service| service.download(&snapshot, &path))
        .await?;
    let (sender, pieces) = mpsc::channel::<Piece>(PIECES);
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(pieces)));
    let headers = response.headers_mut();
    let (mut name, kind) = match &download {
        Download::File { name, size, .. } => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(*size));
            (name.clone(), "application/octet-stream")
        }
        Download::Folder { name, .. } => (name.clone(), "application/x-tar"),
    };
    if matches!(download, Download::Folder { .. }) {
        name.extend_from_slice(b".tar");
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition(&name));
    // Runs on after this answer has begun; ends when all is sent or the
    // reader has gone away.
    tokio::task::spawn_blocking(move || send(download, &sender));
    Ok(response)
}

fn send(download: Download, sender: &mpsc::Sender<Piece>) {
    let sent = match download {
        Download::File { mut content, .. } => copy(&mut content, sender),
        Download::Folder { tar, .. } => {
            let mut out = BufWriter::with_capacity(PIECE, Pipe(sender));
            tar.write(&mut out)
                .map_err(std::io::Error::other)
                .and_then(|()| out.flush())
        }
    };
    if let Err(e) = sent
        && !sender.is_closed()
    {
        tracing::warn!("a download was broken off: {e}");
        // Only the reader's going away makes this fail.
        let _ = sender.blocking_send(Err(e));
    }
}

fn copy(content: &mut dyn Read, sender: &mpsc::Sender<Piece>) -> std::io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let room = u64::try_from(PIECE).unwrap_or(u64::MAX);
        if content.take(room).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        Pipe(sender).write_all(&piece)?;
    }
}

/// Pieces to a body; fails when the reader has gone away.
struct Pipe<'a>(&'a mpsc::Sender<Piece>);

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The name twice (RFC 6266): in ASCII for old programs, and exactly.
fn disposition(name: &[u8]) -> HeaderValue {
    let plain: String = String::from_utf8_lossy(name)
        .chars()
        .map(|c| match c {
            ' '..='~' if !matches!(c, '"' | '\\' | '/' | '%') => c,
            _ => '_',
        })
        .collect();
    let exact = paths::encode(&[name]);
    HeaderValue::try_from(format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"
    ))
    .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_header() {
        assert_eq!(
            disposition("año \"1\"\r\nx.txt".as_bytes()),
            "attachment; filename=\"a_o _1___x.txt\"; filename*=UTF-8''a%C3%B1o%20%221%22%0D%0Ax.txt"
        );
    }
}
