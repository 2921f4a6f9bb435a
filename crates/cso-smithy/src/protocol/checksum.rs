//! Checksums of bodies, where an operation demands one or the caller asks for one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cso_facts::api::{Operation, Service};
use md5::Md5;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{InputError, WireRequest};

/// Adds the header that the operation demands, unless the caller's own input has put one there.
pub(super) fn add(
    service: &Service,
    operation: &Operation,
    input: &Value,
    request: &mut WireRequest,
) -> Result<(), InputError> {
    let is_checksum = |name: &str| name == "content-md5" || name.starts_with("x-amz-checksum-");
    if request.headers.iter().any(|(name, _)| is_checksum(name)) {
        return Ok(());
    }
    let Some(chooser) = &operation.checksum_algorithm else {
        if operation.checksum_required {
            request.headers.push(("content-md5".into(), BASE64.encode(Md5::digest(&request.body))));
        }
        return Ok(());
    };
    match input.get(chooser).and_then(Value::as_str) {
        None if operation.checksum_required => {
            let header = operation.input.and_then(|shape| service.shape(shape).member(chooser)?.wire_name.as_deref());
            if let Some(header) = header {
                request.headers.push((header.to_ascii_lowercase().into(), "CRC32".to_owned()));
            }
            request.headers.push(("x-amz-checksum-crc32".into(), crc32(&request.body)));
        }
        None => {}
        Some("CRC32") => request.headers.push(("x-amz-checksum-crc32".into(), crc32(&request.body))),
        Some("SHA256") => {
            request.headers.push(("x-amz-checksum-sha256".into(), BASE64.encode(Sha256::digest(&request.body))));
        }
        Some(_) => {
            let problem =
                "names a checksum that is not computed here: use CRC32 or SHA256, or give the checksum itself";
            return Err(InputError::new(problem).within(chooser));
        }
    }
    Ok(())
}

fn crc32(body: &[u8]) -> String {
    BASE64.encode(crc32fast::hash(body).to_be_bytes())
}
