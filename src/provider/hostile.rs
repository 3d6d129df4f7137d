//! What a provider answers, made up by somebody else.

use super::http::{self, Answer};
use super::manifest::Manifest;
use super::s3::list::{Page, Versions, uploads};
use super::xml;

/// A manifest, as it is and with its checksum made right.
pub(crate) fn manifest(bytes: &[u8]) {
    let mut summed = bytes.to_vec();
    summed.extend_from_slice(blake3::hash(bytes).as_bytes());
    for bytes in [bytes, &summed] {
        if let Ok(manifest) = Manifest::decode(bytes) {
            let again = Manifest::decode(&manifest.encode());
            assert!(again.is_ok_and(|m| m.objects == manifest.objects));
        }
    }
}

/// A listing of S3, and an error document.
pub(crate) fn s3(bytes: &[u8]) {
    let _ = (Page::parse(bytes), Versions::parse(bytes));
    let _ = uploads(bytes);
    let text = String::from_utf8_lossy(bytes);
    for tag in ["Code", "Message", ""] {
        let _ = xml::element(&text, tag).map(xml::text);
        let _ = xml::blocks(&text, tag).count();
    }
    let (head, body) = bytes.split_at(bytes.len().min(2));
    let mut headers = ureq::http::HeaderMap::new();
    if let Ok(date) = ureq::http::HeaderValue::from_bytes(body) {
        headers.insert("date", date);
    }
    let answer = Answer {
        status: head.iter().fold(0, |n, b| n * 256 + u16::from(*b)) % 700,
        headers,
        body: body.to_vec(),
    };
    let _ = http::refusal("asking", &answer);
}

/// Well-formed bytes: target, name and bytes of each.
#[cfg(test)]
pub(crate) fn samples() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    use crate::engine::storage::Name;

    let mut manifest = Manifest::default();
    manifest.objects.insert(Name::Header, 300);
    manifest.objects.insert(Name::Segment([1; 32]), 32 << 20);
    manifest.objects.insert(Name::Snapshot([2; 16]), 280);
    let whole = manifest.encode();
    let body = whole[..whole.len() - 32].to_vec();
    let listing = r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/segments/</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken><KeyCount>1</KeyCount><Contents><Key>p/segments/ab/ab00</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;d41d&quot;</ETag><Size>33554432</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"#;
    let versions = r#"<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><NextKeyMarker>p/header</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker><Version><Key>p/header</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-02T03:04:05.000Z</LastModified><Size>300</Size></Version><DeleteMarker><Key>p/header</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-03T03:04:05.000Z</LastModified></DeleteMarker></ListVersionsResult>"#;
    let unfinished = r#"<?xml version="1.0" encoding="UTF-8"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><Upload><Key>p/segments/ab/ab00</Key><UploadId>2~x&amp;y</UploadId></Upload></ListMultipartUploadsResult>"#;
    let refused = r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message><RequestId>1</RequestId></Error>"#;
    vec![
        ("manifest", "whole", whole),
        ("manifest", "body", body),
        ("s3", "listing", listing.into()),
        ("s3", "versions", versions.into()),
        ("s3", "uploads", unfinished.into()),
        ("s3", "error", [&[1, 247][..], refused.as_bytes()].concat()),
        (
            "s3",
            "date",
            b"\x01\x93Mon, 23 Nov 2026 20:14:24 GMT".to_vec(),
        ),
    ]
}
