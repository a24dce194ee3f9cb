//! Reads payloads as PROXY headers. Whatever they are, there must be no panic, and what was read
//! must be read again after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::proxy::{Header, Sent, Transport};

fuzz_target!(|data: &[u8]| {
    let Some(sent) = Sent::read(data) else { return };
    assert!(sent.len <= data.len());
    let Some(ends) = sent.ends else { return };
    let header = Header::new(sent.version, Transport::Stream, &ends);
    let again = Sent::read(header.bytes()).expect("a header of ours");
    assert_eq!((again.len, again.ends), (header.bytes().len(), Some(ends)));
});
